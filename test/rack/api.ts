import { request } from 'node:http';

/** The service's own words for what it did not do. */
export class ApiRefusal extends Error {
  override readonly name = 'ApiRefusal';
}

/** One call over the API's socket, by whatever a program of the user's would use. @throws ApiRefusal, or the socket's error. */
export function api<Answer>(
  socketPath: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<Answer> {
  const headers = { 'content-type': 'application/json' };
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, method, path, ...(body ? { headers } : {}) }, async (response) => {
      try {
        const text = (await response.toArray()).join('');
        if (response.statusCode && response.statusCode < 400) resolve(JSON.parse(text) as Answer);
        else reject(new ApiRefusal(text));
      } catch (error) {
        reject(error as Error);
      }
    });
    call.on('error', reject);
    call.end(body && JSON.stringify(body));
  });
}
