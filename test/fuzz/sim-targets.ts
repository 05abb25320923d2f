import { decodeMessage } from '../../src/dhcp/packet.ts';
import { asciiFromBytes, WireError } from '../../src/net/bytes.ts';
import { type Ipv4, parseIpv4 } from '../../src/net/ipv4.ts';
import type { Serial } from '../../src/net/serial.ts';
import { boardOf } from '../../src/sim/board.ts';
import { parseConfigTxt } from '../../src/sim/config-txt.ts';
import type { DhcpStage } from '../../src/sim/dhcp-personality.ts';
import { chooseOffer } from '../../src/sim/offers.ts';
import { DHCP_REPLIES } from './corpus.ts';
import { check, refusing, type Target } from './target.ts';

const STAGES: readonly DhcpStage[] = ['3b ROM', '3b+ ROM', 'bootcode.bin', 'EEPROM'];
const SOURCE = '192.168.172.17' as Ipv4;
const BOARDS = (['pi3', 'pi4', 'pi5'] as const).map((model) =>
  boardOf({ model, serial: 'ab000004' as Serial }),
);
const plain = decodeMessage(DHCP_REPLIES[0] as Uint8Array);

const CONFIG_TXT = `arm_64bit=1
[pi4]
initramfs initrd.img,extra.img followkernel
include more.txt
[pi5]
[0x9ffefdef]
kernel=kernel8.img
[board-type=0x11]
dtoverlay=vc4-kms-v3d:noaudio
[EDID=VSC-TD2220]
[all]
auto_initramfs=1
`;

export const SIM_TARGETS: readonly Target[] = [
  {
    name: 'sim-offers',
    seeds: DHCP_REPLIES,
    read(input) {
      const message = refusing([WireError], () => decodeMessage(input));
      if (!message) return;
      for (const stage of STAGES) {
        const heard = [
          { source: SOURCE, message },
          { source: '192.168.172.1' as Ipv4, message: plain },
        ];
        const choice = chooseOffer(stage, heard);
        if (choice.kind === 'accepted') check(parseIpv4(choice.tftpServer) !== undefined, choice.tftpServer);
        else check(choice.reasons.length <= heard.length, choice.reasons.join());
      }
    },
  },
  {
    name: 'sim-config-txt',
    seeds: [Buffer.from(CONFIG_TXT), Buffer.from('include more.txt\n'.repeat(3))],
    read(input) {
      const text = asciiFromBytes(input);
      for (const board of BOARDS) {
        const parsed = parseConfigTxt(text, board, new Map([['more.txt', 'include more.txt\nkernel=x']]));
        check(parsed.settings.size <= text.length + 1, `${parsed.settings.size} settings`);
      }
    },
  },
];
