import type { Run } from '../model/command.ts';

/**
 * Tells systemd how the service is (sd_notify). Node has no unix datagram sockets, so systemd's own program
 * speaks for us (the unit has NotifyAccess=all). Does nothing where systemd did not start us.
 */
export async function notifySystemd(run: Run, ...state: string[]): Promise<void> {
  const socket = process.env.NOTIFY_SOCKET;
  if (socket) await run('systemd-notify', state, { env: { NOTIFY_SOCKET: socket } });
}
