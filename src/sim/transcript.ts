import { UNSPECIFIED } from '../net/ipv4.ts';
import type { FirmwareEvent } from './firmware-event.ts';

/** One event as the line a person reads, e.g. `RRQ       9ffefdef/start4.elf → there, 2297184 bytes (3 ms)`. */
export function describeEvent(event: FirmwareEvent): string {
  switch (event.kind) {
    case 'stage':
      return `── ${event.name}`;
    case 'discover':
      return line('DISCOVER', `${event.bytes} bytes, xid ${event.xid.toString(16).padStart(8, '0')}`);
    case 'offer': {
      const address = event.yiaddr === UNSPECIFIED ? 'no address (proxy)' : event.yiaddr;
      const siaddr = event.siaddr === UNSPECIFIED ? '' : `, siaddr ${event.siaddr}`;
      const option66 = event.option66 === '' ? '' : `, option 66 ${event.option66}`;
      const text = event.bootText === '' ? ', no option 43' : `, option 43 "${event.bootText}"`;
      return line('OFFER', `from ${event.source}: ${address}${siaddr}${option66}${text} (${event.ms} ms)`);
    }
    case 'waiting':
      return line('', `not enough to boot: ${event.reasons.join('; ')}`);
    case 'request':
      return line('REQUEST', `${event.address} of ${event.server}`);
    case 'nak':
      return line('NAK', `from ${event.source}: starting over`);
    case 'address': {
      const how = event.isAcknowledged ? 'ACK' : '(no ACK)'; // a Pi 3 never asks for one
      return line(how, `${event.address}/${event.prefix}, boots from ${event.tftpServer}`);
    }
    case 'file':
      return line('RRQ', `${event.path} → ${describeFile(event)} (${event.ms} ms)`);
    case 'note':
      return line('note', event.text);
  }
}

function describeFile(event: FirmwareEvent & { kind: 'file' }): string {
  const oack = event.answer === '' ? '' : `OACK ${event.answer}, `;
  switch (event.outcome) {
    case 'read':
      return `${oack}${event.size} bytes`;
    case 'probed':
      return `${oack}there, broken off: early terminate`;
    case 'missing':
      return event.answer;
    case 'silent':
      return event.answer;
    case 'broken':
      return `not usable: ${event.answer}`;
  }
}

function line(verb: string, rest: string): string {
  return `${verb.padEnd(9)} ${rest}`;
}
