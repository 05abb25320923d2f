import { unescapeOctal } from './octal.ts';

/** One line of /proc/self/mountinfo (proc_pid_mountinfo(5)), as far as we care. */
export interface Mount {
  readonly path: string;
  readonly type: string;
}

/** Reads mountinfo; of mounts over one another the last, visible one comes last, as in the file. */
export function parseMountInfo(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    const [before, after] = line.split(' - ');
    const path = before?.split(' ')[4];
    const type = after?.split(' ')[0];
    return path && type ? [{ path: unescapeOctal(path), type }] : [];
  });
}
