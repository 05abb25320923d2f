import type {
  IdentityOutcome,
  IdentityRequest,
  ReportMessage,
  ReportOutcome,
  Sender,
} from '../model/report.ts';

/** Who decides what nodes are answered; the server knows bytes and connections alone. */
export interface ReportDesk {
  redeem(request: IdentityRequest, sender: Sender): Promise<IdentityOutcome>;
  /** Takes a while when the node waits for an order; what it resolves with after `gone` goes nowhere. */
  report(message: ReportMessage, sender: Sender, gone: AbortSignal): Promise<ReportOutcome>;
}
