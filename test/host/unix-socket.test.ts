import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import { execa } from 'execa';
import { clearUnixSocket } from '../../src/host/unix-socket.ts';

describe('the place for the API socket', () => {
  const folder = mkdtempSync(join(tmpdir(), 'netboot-socket-'));
  const path = join(folder, 'below/api.sock');
  beforeEach(() => rmSync(join(folder, 'below'), { recursive: true, force: true }));
  after(() => rmSync(folder, { recursive: true }));

  it('gets its folder', async () => {
    await clearUnixSocket(path);
    assert.ok(existsSync(join(folder, 'below')));
    assert.ok(!existsSync(path));
  });

  it('is freed of the socket that a killed service left', async () => {
    await clearUnixSocket(path);
    const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
    await execa(process.execPath, ['-e', script], { reject: false });
    assert.ok(existsSync(path), 'the killed process left its socket');
    await clearUnixSocket(path);
    assert.ok(!existsSync(path));
  });

  it('is not taken from a service that lives', async () => {
    await clearUnixSocket(path);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    await assert.rejects(clearUnixSocket(path), /Another netboot service answers/);
    server.close();
  });

  it('is not made by removing what is no socket', async () => {
    await clearUnixSocket(path);
    writeFileSync(path, 'precious');
    await assert.rejects(clearUnixSocket(path), /api\.socket\): something else lies there/);
    assert.ok(existsSync(path));
  });
});
