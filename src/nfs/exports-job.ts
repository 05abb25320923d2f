import { z } from 'zod';
import { exportsSchema } from './export.ts';

/**
 * The narrow contract between the service, which runs without privileges, and the root process that mounts and
 * exports: one file each way. The asking side is not trusted with more than these lists (see confine.ts).
 */

/** `<state>/exports.json`: what the service wants exported. */
export const exportsRequestSchema = z.strictObject({ id: z.string(), exports: exportsSchema });

/** `/run/netboot-exports/applied.json`: what the root process made of it. */
export const exportsAnswerSchema = z.strictObject({
  /** Of the request that this answers. */
  id: z.string(),
  /** Why nothing could be served at all. */
  failure: z.string().optional(),
  exports: z.array(
    z.strictObject({
      path: z.string(),
      clients: z.array(z.string()),
      options: z.array(z.string()),
      since: z.number().optional(),
      problem: z.string().optional(),
      remark: z.string().optional(),
      isIncomplete: z.boolean().optional(),
    }),
  ),
});

export type ExportsRequest = z.output<typeof exportsRequestSchema>;
export type ExportsAnswer = z.output<typeof exportsAnswerSchema>;

/** A folder of its own: root writes here, and whoever could write beside it could lead root's pen elsewhere. */
export const ANSWER_FILE = '/run/netboot-exports/applied.json';

export const requestFile = (stateFolder: string): string => `${stateFolder}/exports.json`;
