/** TCP_LISTEN of the kernel's `tcp_states.h`, as /proc/net/tcp prints it. */
const LISTEN = '0A';

/** True when the text of /proc/net/tcp or tcp6 (proc_pid_net(5)) shows a socket that listens on `port`. */
export function isListening(procNetTcp: string, port: number): boolean {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return procNetTcp.split('\n').some((line) => {
    const [, local, , state] = line.trim().split(/\s+/);
    return state === LISTEN && local !== undefined && local.endsWith(suffix);
  });
}
