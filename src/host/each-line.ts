import { StringDecoder } from 'node:string_decoder';

/**
 * Gives each line of a program's output as it comes, without its end (`\n` or `\r\n`).
 *
 * @param promptMs after so much silence what has no end yet is given too, and what follows it is a line of its own: a prompt
 *   ("login: ") ends in no newline, and nothing follows it until somebody answers. Not told: lines are never cut.
 */
export async function eachLine(
  output: AsyncIterable<Uint8Array>,
  onLine: (line: string) => void,
  promptMs?: number,
): Promise<void> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  let silence: NodeJS.Timeout | undefined;
  const giveRest = () => {
    if (rest !== '') onLine(rest);
    rest = '';
  };
  try {
    for await (const bytes of output) {
      clearTimeout(silence);
      const lines = (rest + decoder.write(Buffer.from(bytes))).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) onLine(line.replace(/\r$/, ''));
      if (promptMs !== undefined) silence = setTimeout(giveRest, promptMs);
    }
  } catch (error) {
    // The output of a program that fails ends by throwing. Its last words may be cut: what becomes of them is not what failed.
    try {
      giveRest();
    } catch {}
    throw error;
  } finally {
    clearTimeout(silence);
  }
  rest += decoder.end();
  giveRest();
}
