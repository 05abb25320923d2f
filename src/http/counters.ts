/** What the HTTP server did since it started. */
export interface HttpCounters {
  requests: number;
  /** Bytes of files handed to the network. */
  bytes: number;
  completed: number;
  /** Of the completed: parts of files, as a client asks for that goes on with a download. */
  partial: number;
  missed: number;
  /** Requests for what is never done: other methods, ranges outside the file. */
  refused: number;
  /** Connections closed because of what came over them: no HTTP, or too many requests at once. */
  malformed: number;
  /** Connections closed because their client fell silent, or took too long. */
  timeouts: number;
  /** Transfers that the client broke off. */
  aborted: number;
  /** Transfers ended by our own failure: a disk's. */
  failed: number;
  /** Connections closed at once because there were as many as the limits allow. */
  busy: number;
}

export function newHttpCounters(): HttpCounters {
  return {
    requests: 0,
    bytes: 0,
    completed: 0,
    partial: 0,
    missed: 0,
    refused: 0,
    malformed: 0,
    timeouts: 0,
    aborted: 0,
    failed: 0,
    busy: 0,
  };
}
