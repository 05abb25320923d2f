import type { Board } from './board.ts';
import { bootPi3, bootPi3FromCard } from './firmware-pi3.ts';
import { bootPi4 } from './firmware-pi4.ts';
import { bootPi5 } from './firmware-pi5.ts';
import type { Handover, Wire } from './wire.ts';

/**
 * One boot of a board, from power-on to where it hands over to the kernel.
 * @param xid of its DHCP exchanges: random on every Pi but a 3, which has always the same.
 * @throws FirmwareFailure
 */
export function bootBoard(wire: Wire, board: Board, xid: number): Promise<Handover> {
  switch (board.model) {
    case 'pi3':
      return board.bootcodeOnCard ? bootPi3FromCard(wire, board) : bootPi3(wire, board);
    case 'pi4':
      return bootPi4(wire, board, xid);
    case 'pi5':
      return bootPi5(wire, board, xid);
  }
}
