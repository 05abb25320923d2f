import { z } from 'zod';
import { nameSchema } from '../../model/node.ts';
import { ARCHES } from './package-line.ts';

const archSchema = z
  .enum(ARCHES, { error: `the architectures are ${ARCHES.join(', ')}` })
  .describe('Debian architecture: arm64 (Pi 3 and later), armhf (32 bit), amd64 (PCs)');

const componentSchema = z
  .string()
  .regex(/^[a-z-]+$/, 'the components of Debian are main, contrib, non-free, non-free-firmware');

const debianSchema = z.strictObject({
  debian: z
    .string()
    .regex(/^[a-z]+$/, 'write a Debian code name, for example trixie')
    .describe('Code name of the Debian release to start from, for example trixie'),
  arch: archSchema,
  components: z
    .array(componentSchema)
    .min(1)
    .default(['main'])
    .describe('Parts of the archive: main, contrib, non-free, non-free-firmware'),
});

const fromSchema = z.strictObject({
  from: nameSchema.describe('Another image of this folder, to build on'),
  arch: archSchema.optional().describe('Build that image for another architecture than its own'),
});

const imported = {
  sha256: z
    .string({ error: 'is missing; write what "sha256sum FILE" prints, in quotes' })
    .regex(/^[0-9a-f]{64}$/, 'write the 64 hex digits that "sha256sum FILE" prints')
    .describe('What "sha256sum FILE" prints: a file cut short, or another one, is not built from'),
  arch: archSchema,
};

const file = (what: string) => z.string().min(1).describe(`${what}, relative to this folder`);

const imageSchema = z.strictObject({
  image: file('A disk image (.img, .img.xz, .img.zst, .img.gz)'),
  ...imported,
});

const tarballSchema = z.strictObject({
  tarball: file('A root file system as a tar archive (.tar, .tar.xz, .tar.zst, .tar.gz)'),
  ...imported,
});

const STARTS = ['debian', 'from', 'image', 'tarball'];

export const baseSchema = z.preprocess(
  (value, context) => {
    const starts = typeof value === 'object' ? STARTS.filter((key) => Object.hasOwn(value ?? {}, key)) : [];
    if (starts.length !== 1) {
      const message = `say what the image is built on, by one of: ${STARTS.join(', ')}`;
      context.addIssue({ code: 'custom', message });
    }
    return value;
  },
  z
    .union([debianSchema, fromSchema, imageSchema, tarballSchema])
    .describe('What the image is built on: exactly one of debian, from, image or tarball'),
);
