/** What the server did since it started. */
export interface Counters {
  /** Read and write requests that could be decoded. */
  requests: number;
  /** Bytes of file data sent, retransmissions included. */
  bytes: number;
  completed: number;
  /** All was sent, but the last ACK never came. */
  unconfirmed: number;
  /** The client only wanted to know whether the file exists, or how long it is. */
  earlyTerminated: number;
  missed: number;
  /** Transfers given up because the client fell silent or took too long. */
  timeouts: number;
  /** Transfers ended by an error: the client's, the disk's or the network's. */
  failed: number;
  /** Datagrams that are no packet, or no packet for where they arrived. */
  malformed: number;
  /** Requests for what is never done: writing, other modes. */
  refused: number;
  /** Requests left unanswered because as many transfers ran as the limits allow. */
  busy: number;
  /** Datagrams to a transfer from somebody else than its client. */
  strangers: number;
  /** Windows and packets sent again because their ACK did not come, or told of a gap. */
  retransmissions: number;
  /** Datagrams the kernel did not take. */
  unsent: number;
}

export function newCounters(): Counters {
  return {
    requests: 0,
    bytes: 0,
    completed: 0,
    unconfirmed: 0,
    earlyTerminated: 0,
    missed: 0,
    timeouts: 0,
    failed: 0,
    malformed: 0,
    refused: 0,
    busy: 0,
    strangers: 0,
    retransmissions: 0,
    unsent: 0,
  };
}
