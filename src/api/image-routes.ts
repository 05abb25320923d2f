import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import type { Fleet } from '../fleet/fleet.ts';
import { Refusal } from '../model/command.ts';
import { bootTreeBytes, type Generation, type StoredGeneration } from '../model/generation.ts';

/** What a generation has beside root, boot tree and manifest, by the last part of its path in the API. */
export const GENERATION_FILES = {
  log: { file: 'build.log', type: 'text/plain; charset=utf-8' },
  lock: { file: 'image.lock', type: 'text/plain; charset=utf-8' },
  sbom: { file: 'sbom.cdx.json', type: 'application/vnd.cyclonedx+json; version=1.6' },
  files: { file: 'files.jsonl.gz', type: 'application/gzip' },
} as const;

export type GenerationFile = keyof typeof GENERATION_FILES;

/** A generation, and what it is to the fleet now. */
export interface GenerationAnswer {
  readonly generation: Generation;
  /** Nodes that boot from now on get it. */
  readonly isPublished: boolean;
  /** Names of the nodes that get it. */
  readonly nodes: readonly string[];
  readonly bootBytes: number;
  /** What of it can be had at `/v1/generations/<id>/<name>`. */
  readonly has: readonly GenerationFile[];
  /** Board → bytes that it fetches per boot; absent where nobody counted. */
  readonly fetched?: Readonly<Record<string, number>> | undefined;
}

export interface ImagePorts {
  readonly fleet: Fleet;
  /** Board → bytes that it fetches when it boots this generation. */
  readonly fetchedBytes?: ((generation: StoredGeneration) => Readonly<Record<string, number>>) | undefined;
}

/** Sealed generations, by id or by the image whose published one is meant. */
export function addImageRoutes(api: FastifyInstance, { fleet, fetchedBytes }: ImagePorts): void {
  api.get<{ Params: { reference: string } }>(
    '/v1/generations/:reference',
    async ({ params }): Promise<GenerationAnswer> => {
      const { folder, ...generation } = findGeneration(fleet, params.reference);
      const { published, nodes } = fleet.view();
      const isPublished = published.get(generation.image)?.id === generation.id;
      const booting = isPublished
        ? [...nodes.values()].filter(({ image }) => image === generation.image)
        : [];
      return {
        generation,
        isPublished,
        nodes: booting.map(({ name }) => name),
        bootBytes: bootTreeBytes(generation),
        has: await presentFiles(folder),
        fetched: fetchedBytes?.({ ...generation, folder }),
      };
    },
  );

  api.get<{ Params: { reference: string; name: string } }>(
    '/v1/generations/:reference/:name',
    async ({ params }, reply) => {
      const { id, folder } = findGeneration(fleet, params.reference);
      if (!Object.hasOwn(GENERATION_FILES, params.name)) return reply.callNotFound();
      const { file, type } = GENERATION_FILES[params.name as GenerationFile];
      const path = join(folder, file);
      const found = await stat(path).catch(() => undefined);
      if (!found)
        throw new Refusal(
          `${id} has no ${file}`,
          'It was sealed by an older netboot, or made without one: build the image again to have it.',
        );
      return reply.type(type).header('content-length', found.size).send(createReadStream(path));
    },
  );
}

async function presentFiles(folder: string): Promise<GenerationFile[]> {
  const present = await readdir(folder).catch(() => []);
  return (Object.keys(GENERATION_FILES) as GenerationFile[]).filter((name) =>
    present.some((file) => file === GENERATION_FILES[name].file),
  );
}

/** @throws Refusal when nothing is meant by it. */
function findGeneration(fleet: Fleet, reference: string): StoredGeneration {
  const published = fleet.view().published.get(reference);
  const known = fleet.channels.generations();
  const found = published ?? known.find(({ id }) => id === reference);
  if (found) return found;
  const sealed = known.filter(({ image }) => image === reference).map(({ id }) => id);
  throw new Refusal(
    sealed.length > 0
      ? `Nothing is published of image "${reference}"`
      : `There is no image and no generation "${reference}"`,
    sealed.length > 0 ? `Sealed ones: ${sealed.join(', ')}.` : 'See "netboot images".',
  );
}
