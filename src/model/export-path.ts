import { z } from 'zod';

/** A path that can be exported: absolute, normal, and made of characters that neither exports(5) nor ganesha.conf treats specially. */
export const exportPathSchema = z
  .string()
  .regex(
    /^(\/[\w.@+-]+)+$/,
    'write an absolute path of letters, digits and . _ @ + -, without a "/" at the end',
  )
  .refine(
    (path) => path.split('/').every((part) => part !== '.' && part !== '..'),
    'write it without "." or ".."',
  );
