/**
 * Aborted by SIGINT or SIGTERM, with the signal's name as the reason. The listeners stay: execa, which ends its programs
 * with us, ends us at once when it is the only one left that listens, and `once` has left by then.
 */
export function stopSignal(): AbortSignal {
  const stopping = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stopping.abort(signal));
  return stopping.signal;
}
