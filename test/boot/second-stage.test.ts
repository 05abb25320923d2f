import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { renderCmdlineTxt } from '../../src/boot/cmdline-txt.ts';
import { linuxOf } from '../../src/boot/linux.ts';
import { renderBootScr, scriptImage } from '../../src/boot/render-boot-scr.ts';
import { parsePxelinuxName } from '../../src/boot/render-pxelinux.ts';
import { lookup, type TreeClient } from '../../src/boot/tree.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import type { Mac } from '../../src/net/mac.ts';
import { sampleGeneration, sampleNetwork, sampleNode, sampleView } from './sample-view.ts';

const MAC = '52:54:00:12:34:56' as Mac;
const pc = sampleNode({ serial: '00123456', name: 'pc', mac: MAC, ip: '192.168.172.21' });
const pi = sampleNode({ serial: '9ffefdef', name: 'pi', image: 'pi' });
const web = sampleGeneration('web', { vmlinuz: 3, 'initrd.img': 2 }, '/g/web');
/** As the web image is: its kernel is compressed. */
const compressed = sampleGeneration('pi', { 'kernel8.img': 3 }, '/g/pi');
const forPis = { ...compressed, boot: { ...compressed.boot, kernel: 'kernel8.img' } };
const view = sampleView([pc, pi], [web, forPis]);

const stranger: TreeClient = { address: '192.168.172.150' as Ipv4, interface: 'eth0' };
const itself: TreeClient = { ...stranger, address: '192.168.172.21' as Ipv4 };
const LINE =
  'console=ttyAMA0,115200 console=tty1 root=/dev/nfs nfsroot=192.168.172.1:/exports/images/web-0123456789ab,vers=3,' +
  'nocto,acregmin=600,acregmax=3600,acdirmin=600,acdirmax=3600 ro ip=dhcp rootwait systemd.hostname=pc ' +
  'systemd.machine_id=6e6574626f6f40008000000000123456 panic=10';

function generated(client: TreeClient, path: string): string {
  const found = lookup(view, client, path);
  if (found.kind === 'generated') return found.text;
  if (found.kind === 'generated image') return Buffer.from(found.bytes).toString('latin1');
  return assert.fail(`${path} is ${JSON.stringify(found)}`);
}

test('iPXE’s script: kernel, initramfs and command line of the node, and another try (checklist 61)', () => {
  const text = generated(stranger, '00123456/boot.ipxe');
  assert.equal(
    text,
    [
      '#!ipxe',
      'echo pc (00123456), generation web-0123456789ab',
      'set try:int32 0',
      ':again',
      'kernel --name vmlinuz vmlinuz || goto failed',
      'initrd --name initrd.img initrd.img || goto failed',
      `imgargs vmlinuz initrd=initrd.img ${LINE}`,
      'boot || goto failed',
      ':failed',
      'imgfree',
      'inc try',
      `iseq \${try} 10 && reboot ||`,
      'echo The appliance does not serve it all; once more in 5 seconds',
      'sleep 5',
      'goto again',
      '',
    ].join('\n'),
  );
});

test('prefix, MAC and address lead to one script, and the command line is that of cmdline.txt (checklist 41)', () => {
  const script = generated(stranger, '00123456/boot.ipxe');
  assert.equal(generated(stranger, '52-54-00-12-34-56/boot.ipxe'), script);
  assert.equal(generated(itself, 'boot.ipxe'), script);
  assert.equal(generated({ ...stranger, mac: MAC }, '/boot.ipxe'), script);
  const cmdline = generated(itself, 'cmdline.txt').trim().replace('console=serial0', 'console=ttyAMA0');
  assert.ok(script.includes(` ${cmdline}\n`));
  assert.match(generated(stranger, '9ffefdef/boot.ipxe'), /^kernel --name kernel8\.img kernel8\.img /m);
});

describe('pxelinux.cfg', () => {
  // U-Boot's order (cmd/pxe.c, boot/pxe_utils.c).
  const names = [
    '4c4c4544-0051-3710-8033-b7c04f4d3132',
    '01-52-54-00-12-34-56',
    ...Array.from('C0A8AC15', (_, index) => 'C0A8AC15'.slice(0, 8 - index)),
    'default-arm-bcm283x-rpi',
    'default-arm-bcm283x',
    'default-arm',
    'default',
  ];

  for (const name of names) {
    test(`${name} is the node’s file by prefix and by address (checklist 62)`, () => {
      const text = generated(stranger, `00123456/pxelinux.cfg/${name}`);
      assert.equal(
        text,
        [
          '# pc (00123456), generation web-0123456789ab',
          ...['default linux', 'prompt 0', 'timeout 1', 'label linux'],
          ...['  kernel vmlinuz', '  initrd initrd.img', `  append ${LINE}`, ''],
        ].join('\n'),
      );
      // Without a prefix U-Boot has no folder to put before the names.
      assert.equal(
        generated(itself, `pxelinux.cfg/${name}`),
        text.replace('kernel v', 'kernel 00123456/v').replace('initrd i', 'initrd 00123456/i'),
      );
    });
  }

  test('a stranger is known by the MAC or the whole address in the name, and by no part of it (checklist 62)', () => {
    for (const name of ['01-52-54-00-12-34-56', 'C0A8AC15']) {
      assert.match(generated(stranger, `pxelinux.cfg/${name}`), /^# pc /);
    }
    for (const name of ['01-52-54-00-12-34-57', 'C0A8AC16', 'C0A8AC1', 'default', 'default-arm']) {
      assert.equal(lookup(view, stranger, `pxelinux.cfg/${name}`).kind, 'plain', name);
    }
  });

  test('other names are none of it', () => {
    for (const name of ['defaults', '01-52-54-00-12-34', 'C0A8AC15F', 'default-', 'x', '']) {
      assert.equal(parsePxelinuxName(`pxelinux.cfg/${name}`), undefined, name);
    }
  });
});

describe('boot.scr.uimg', () => {
  const linux = linuxOf(pc, web, renderCmdlineTxt(pc, web, sampleNetwork, '/exports'));
  const image = Buffer.from(renderBootScr(linux, '00123456/'));

  test('sets the command line, fetches with the prefix and starts (checklist 62)', () => {
    assert.deepEqual(image.subarray(72).toString('latin1').split('\n'), [
      'echo pc (00123456), generation web-0123456789ab',
      `setenv bootargs '${LINE}'`,
      'setenv netboot_fdt $fdtcontroladdr',
      'test -n "$fdt_addr" && setenv netboot_fdt $fdt_addr',
      'tftpboot $kernel_addr_r 00123456/vmlinuz && tftpboot $ramdisk_addr_r 00123456/initrd.img && ' +
        'booti $kernel_addr_r $ramdisk_addr_r:$filesize $netboot_fdt',
      '',
    ]);
    for (const path of ['00123456/boot.scr.uimg', '00123456/boot.scr']) {
      assert.equal(generated(stranger, path), image.toString('latin1'));
    }
    assert.equal(generated(itself, 'boot.scr.uimg'), image.toString('latin1'));
  });

  test('is an image that others read as a script of U-Boot', () => {
    assert.match(
      execFileSync('file', ['--brief', '-'], { input: image, encoding: 'utf8' }),
      /^u-boot legacy uImage, netboot, Linux\/ARM 64-bit, Script File \(Not compressed\), \d+ bytes/,
    );
  });

  test('is the same bytes each time, and other bytes for another script', () => {
    assert.deepEqual(renderBootScr(linux, '00123456/'), new Uint8Array(image));
    assert.notDeepEqual(scriptImage('a'), scriptImage('b'));
  });

  test('an image without an unpacked kernel has nothing for U-Boot, and says what to do', () => {
    for (const name of ['boot.scr.uimg', 'pxelinux.cfg/default']) {
      const found = lookup(view, stranger, `9ffefdef/${name}`);
      assert.match(
        found.kind === 'missing' ? found.reason : found.kind,
        /add u-boot to boot\.loaders of image pi$/,
      );
    }
  });
});

test('an image’s own file goes before one that would be made', () => {
  const own = sampleGeneration('web', { 'boot.ipxe': 7 }, '/g/web');
  const found = lookup(sampleView([pc], [own]), stranger, '00123456/boot.ipxe');
  assert.equal(found.kind, 'static');
});
