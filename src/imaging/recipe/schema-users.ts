import { z } from 'zod';

const nameSchema = z
  .string()
  .regex(/^[a-z_][a-z0-9_-]{0,30}$/, 'a user name has lower-case letters, digits, "_" and "-"');

const pathSchema = z.string().regex(/^\/(?!.*(^|\/)\.\.(\/|$))\S*$/, 'write an absolute path');

const KEY =
  /(?:^|\s)(ssh-(?:ed25519|rsa)|ecdsa-sha2-nistp(?:256|384|521)|sk-[\w.@-]+)\s+([A-Za-z0-9+/]+=*)(?:\s|$)/;

const keySchema = z
  .string()
  .regex(/^[^\n]+$/, 'one key a list item, on one line')
  .refine(
    (text) => !text.includes('PRIVATE KEY'),
    'this is a private key: write the public one, from the .pub file',
  )
  .refine(
    (text) => text.includes('PRIVATE KEY') || isWhole(text),
    'this is no public SSH key, or cut short; write the line of the .pub file',
  );

/** The encoded part begins with the length of the type and the type itself (RFC 4253, 6.6), and is of fours of letters. */
function isWhole(text: string): boolean {
  const [, type, encoded] = KEY.exec(text) ?? [];
  if (type === undefined || encoded === undefined || encoded.length % 4 !== 0) return false;
  const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
  let offset = 0;
  let first: string | undefined;
  while (offset + 4 <= bytes.length) {
    const length = new DataView(bytes.buffer).getUint32(offset);
    if (length > bytes.length - offset - 4) return false;
    first ??= new TextDecoder().decode(bytes.subarray(offset + 4, offset + 4 + length));
    offset += 4 + length;
  }
  return offset === bytes.length && first === type;
}

const userSchema = z
  .strictObject({
    name: nameSchema,
    uid: z.int().min(1).max(65_533).optional(),
    groups: z.array(nameSchema).default([]).describe('Beside its own; they have to exist'),
    shell: pathSchema.optional(),
    home: pathSchema.optional(),
    keys: z.array(keySchema).default([]).describe('Public SSH keys, as the .pub file has them'),
  })
  .superRefine((user, context) => {
    if (user.name !== 'root') return;
    for (const key of ['uid', 'home'] as const) {
      if (user[key] !== undefined)
        context.addIssue({ code: 'custom', path: [key], message: 'root has its own' });
    }
    if (user.groups.length > 0) {
      context.addIssue({ code: 'custom', path: ['groups'], message: 'root needs no groups' });
    }
  });

export const usersSchema = z
  .array(userSchema)
  .default([])
  .superRefine((users, context) => {
    for (const [index, { name }] of users.entries()) {
      if (users.findIndex((other) => other.name === name) === index) continue;
      context.addIssue({ code: 'custom', path: [index, 'name'], message: `"${name}" is named twice` });
    }
  })
  .describe('Users to add; root may be named for its keys');
