import type { FastifyInstance } from 'fastify';
import { ZodError } from 'zod';
import { Refusal } from '../model/command.ts';
import type { Problem } from './schemas.ts';

/** Every failure leaves the API as one sentence for a person: 400 asked wrongly, 409 refused, 500 our fault. */
export function installProblems(api: FastifyInstance): void {
  api.setErrorHandler((error, request, reply) => {
    const problem = (status: number, text: string) =>
      reply.code(status).send({ error: text } satisfies Problem);
    if (error instanceof ZodError) {
      const texts = error.issues.map((issue) =>
        issue.path.length > 0 && issue.code !== 'custom'
          ? `${issue.path.join('.')}: ${issue.message}`
          : issue.message,
      );
      return problem(400, texts.join('; '));
    }
    if (error instanceof Refusal) return problem(409, error.message);
    const { statusCode, message } = error as { statusCode?: number; message: string };
    if (statusCode && statusCode < 500) return problem(statusCode, message);
    request.log.error({ id: 'API_FAILED', err: error }, 'a request failed');
    return problem(500, `The service failed: ${message}. Its log says more: journalctl -u netboot`);
  });
  api.setNotFoundHandler((request, reply) => {
    reply.code(404).send({ error: `There is nothing at ${request.method} ${request.url}` } satisfies Problem);
  });
}
