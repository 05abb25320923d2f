import type { ImageSource } from '../recipe/chain.ts';
import type { Step, StepInput } from './step.ts';

const text = (path: string, lines: readonly string[] | string, mode?: number): StepInput => ({
  path,
  content: {
    kind: 'text',
    text: typeof lines === 'string' ? lines : lines.map((line) => `${line}\n`).join(''),
  },
  ...(mode === undefined ? {} : { mode }),
});

type Parts = Pick<Step, 'inputs'> & { readonly variables?: Step['variables'] };

/** rootfs/, templates/ and what the recipe says of files, tmpfiles, fstab and sysctl; nothing when it says nothing. */
export function planFiles(
  image: ImageSource,
  users: ReadonlySet<string>,
): { readonly parts: Parts; readonly count: number } | undefined {
  const { recipe, rootfs, name } = image;
  const brought = new Map(rootfs.map((input) => [input.path, input]));
  const bring = (path: string, content: string | readonly string[], mode?: number) =>
    brought.set(`rootfs${path}`, text(`rootfs${path}`, content, mode));
  for (const [file, lines] of Object.entries(recipe.tmpfiles)) bring(`/etc/tmpfiles.d/${file}.conf`, lines);
  const sysctl = Object.entries(recipe.sysctl).map(([key, value]) => `${key} = ${value}`);
  if (sysctl.length > 0) bring(`/etc/sysctl.d/90-${name}.conf`, sysctl.toSorted());
  for (const { path, content, mode } of recipe.files) if (content !== undefined) bring(path, content, mode);

  const inputs = [...brought.values()];
  const owners = ownerLines(image, (made) => !made(users));
  if (owners.length > 0) inputs.push(text('owners', owners));
  if (recipe.fstab.length > 0) inputs.push(text('fstab', recipe.fstab));
  return inputs.length > 0 ? { parts: { inputs }, count: brought.size } : undefined;
}

/** The users, their SSH keys, and the files that are theirs. */
export function planUsers(
  image: ImageSource,
  users: ReadonlySet<string>,
): { readonly parts: Parts; readonly names: readonly string[] } | undefined {
  const people = image.recipe.users;
  const owners = ownerLines(image, (made) => made(users));
  if (people.length === 0 && owners.length === 0) return undefined;
  const lines = people.map(({ name, uid, groups, shell, home }) =>
    [name, uid ?? '-', groups.toSorted().join(',') || '-', shell ?? '-', home ?? '-'].join(' '),
  );
  const keys = people
    .filter((person) => person.keys.length > 0)
    .map((person) => text(`rootfs/etc/ssh/authorized_keys.d/${person.name}`, person.keys));
  const inputs = [text('users', lines), ...keys];
  if (owners.length > 0) inputs.push(text('owners', owners));
  return { parts: { inputs }, names: people.map(({ name }) => name) };
}

/** "owner group mode kind path"; those of users that a recipe makes have to wait until these are there. */
function ownerLines(
  { recipe }: ImageSource,
  wanted: (made: (users: ReadonlySet<string>) => boolean) => boolean,
): string[] {
  return recipe.files
    .filter(({ owner, group }) => wanted((users) => users.has(owner) || users.has(group)))
    .map(({ owner, group, mode, kind, path }) => `${owner} ${group} ${mode.toString(8)} ${kind} ${path}`);
}

/** What starts: lists for systemctl(1), targets and drop-ins as files. */
export function planUnits({ recipe: { units } }: ImageSource): Parts | undefined {
  const targets = Object.entries(units.targets).map(([name, target]) => {
    const { description = name, requires, wants, after, conflicts, isolate } = target;
    const lines = [
      '[Unit]',
      `Description=${description}`,
      ...list('Requires', requires),
      ...list('Wants', wants),
      ...list('After', after),
      ...list('Conflicts', conflicts),
      ...(isolate ? ['AllowIsolate=yes'] : []),
    ];
    return text(`rootfs/etc/systemd/system/${name}.target`, lines);
  });
  const dropins = Object.entries(units.dropins).flatMap(([unit, texts]) =>
    Object.entries(texts).map(([name, content]) =>
      text(
        `rootfs/etc/systemd/system/${unit}.d/${name}.conf`,
        content.endsWith('\n') ? content : `${content}\n`,
      ),
    ),
  );
  const wants = Object.entries(units.wants).flatMap(([unit, wanted]) =>
    wanted.map((name) => `${unit} ${name}`),
  );
  const variables = {
    DEFAULT: units.default ?? '',
    ENABLE: sorted(units.enable),
    DISABLE: sorted(units.disable),
    MASK: sorted(units.mask),
  };
  const inputs = [...targets, ...dropins, ...(wants.length > 0 ? [text('wants', wants.toSorted())] : [])];
  if (inputs.length === 0 && Object.values(variables).every((value) => value === '')) return undefined;
  return { variables, inputs };
}

const list = (key: string, values: readonly string[]) =>
  values.length > 0 ? [`${key}=${values.join(' ')}`] : [];
const sorted = (names: readonly string[]) => names.toSorted().join(' ');
