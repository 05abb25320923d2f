import { basename, dirname, join } from 'node:path';
import type { Mistake } from '../../model/yaml-file.ts';
import type { Hook } from './chain.ts';
import type { Tree } from './folder.ts';
import type { RecipeText } from './schema.ts';

interface Parts {
  readonly text: RecipeText;
  readonly rootfs: Tree;
  readonly templates: Tree;
  readonly hooks: readonly Hook[];
  readonly folder: string;
}

/** What no single value of a recipe shows: that two parts of it contradict each other. */
export function checkSource(
  { text, rootfs, templates, hooks, folder }: Parts,
  wrong: (path: readonly PropertyKey[], problem: string) => void,
  mistakes: Mistake[],
): void {
  const copied = new Set(rootfs.inputs.map(({ path }) => `/${path}`));
  const rendered = new Set(templates.inputs.map(({ path }) => `/${path}`));
  for (const path of rendered) {
    if (!copied.has(path)) continue;
    const problem = `rootfs${path} brings this file too; leave one of the two`;
    mistakes.push({ file: join(folder, 'templates', path), problem });
  }
  for (const [path, tree] of [
    ...rootfs.folders
      .filter((found) => rendered.has(`/${found}`))
      .map((found) => [found, 'templates'] as const),
    ...templates.folders
      .filter((found) => copied.has(`/${found}`))
      .map((found) => [found, 'rootfs'] as const),
  ]) {
    mistakes.push({
      file: join(folder, tree, path),
      problem: 'is a folder in the other of rootfs/ and templates/',
    });
  }
  const bringerOf = (path: string) =>
    copied.has(path) ? `rootfs${path}` : rendered.has(path) ? `templates${path}` : undefined;
  const folders = new Set([...rootfs.folders, ...templates.folders].map((path) => `/${path}`));

  // Input files are laid out as they are named here: below a link that would be wherever the link leads to.
  const written = new Set(text.files.filter(({ content }) => content !== undefined).map(({ path }) => path));
  const aboveOf = (path: string): string | undefined => {
    for (let above = dirname(path); above !== '/'; above = dirname(above)) {
      const bringer = bringerOf(above) ?? (written.has(above) ? above : undefined);
      if (bringer) return bringer;
    }
    return undefined;
  };
  const seen = new Set<string>();
  for (const [index, { path: asked, content }] of text.files.entries()) {
    const path = asked.replace(/\/$/, '');
    const place = ['files', index, 'path'];
    const isFolder = asked.endsWith('/') || folders.has(path);
    if (seen.has(path)) wrong(place, `${path} is named twice; put it all in one`);
    seen.add(path);
    const bringer = bringerOf(path);
    const above = aboveOf(path);
    if (above) wrong(place, `${above} is no folder; name the place it leads to, or leave it out`);
    else if (content !== undefined && isFolder) wrong(place, 'a folder has no content');
    else if (content !== undefined && bringer)
      wrong(place, `${bringer} brings this file too; leave one of the two`);
    else if (asked.endsWith('/') && bringer)
      wrong(place, `${bringer} is no folder; write it without the slash`);
    else if (content === undefined && !bringer && !isFolder) {
      wrong(
        place,
        `there is no rootfs${path}; put the file there, give "content", or write ${path}/ for a folder`,
      );
    }
  }

  const made = (path: readonly PropertyKey[], file: string) => {
    const bringer = bringerOf(file) ?? (seen.has(file) ? '"files"' : undefined);
    const above = aboveOf(file);
    if (bringer) wrong(path, `${bringer} brings ${file} too; leave one of the two`);
    else if (above) wrong(path, `${above} is no folder, and ${file} is to be in it; leave it out`);
  };
  for (const name of Object.keys(text.tmpfiles)) made(['tmpfiles', name], `/etc/tmpfiles.d/${name}.conf`);
  if (Object.keys(text.sysctl).length > 0) made(['sysctl'], `/etc/sysctl.d/90-${basename(folder)}.conf`);
  for (const [index, { name, keys }] of text.users.entries()) {
    if (keys.length > 0) made(['users', index, 'keys'], `/etc/ssh/authorized_keys.d/${name}`);
  }
  for (const name of Object.keys(text.units.targets)) {
    made(['units', 'targets', name], `/etc/systemd/system/${name}.target`);
  }
  for (const [unit, dropins] of Object.entries(text.units.dropins)) {
    for (const name of Object.keys(dropins)) {
      made(['units', 'dropins', unit, name], `/etc/systemd/system/${unit}.d/${name}.conf`);
    }
  }

  const names = new Set(hooks.map(({ name }) => name));
  for (const name of Object.keys(text.hooks)) {
    if (names.has(name)) continue;
    const there = names.size > 0 ? `there are: ${[...names].join(', ')}` : 'there are none';
    wrong(['hooks', name], `there is no hooks/${name}; ${there}`);
  }
}
