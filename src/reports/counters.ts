/** What the report server did since it started. */
export interface ReportCounters {
  requests: number;
  identities: number;
  reports: number;
  /** Reports that are to be sent again: of another run of the service, or not newer than the last. */
  again: number;
  /** Answers with an order. */
  orders: number;
  /** Not signed as they have to be, by nodes that are none, or too late. */
  refused: number;
  /** No HTTP, no such path, too large, or no report. */
  malformed: number;
  /** Connections closed because their request took too long. */
  timeouts: number;
  /** Connections that the client closed before it was answered. */
  aborted: number;
  /** Requests that failed by our own fault: a disk's. */
  failed: number;
  /** Connections closed because there were as many as the limits allow. */
  busy: number;
}

export function newReportCounters(): ReportCounters {
  return {
    requests: 0,
    identities: 0,
    reports: 0,
    again: 0,
    orders: 0,
    refused: 0,
    malformed: 0,
    timeouts: 0,
    aborted: 0,
    failed: 0,
    busy: 0,
  };
}
