import type { Recipe } from './recipe.ts';

/** One step of a build, as data: `steps/<script>.sh` with these variables. */
export interface Step {
  /** Shown while it runs, and in a failure. */
  readonly name: string;
  readonly script: string;
  readonly variables: Readonly<Record<string, string>>;
}

/** All the steps that turn a recipe into a root squashfs and a boot tree. `hooks` are file names, in any order. */
export function plan(recipe: Recipe, hooks: readonly string[]): readonly Step[] {
  const { debian, arch, components } = recipe.base;
  const { loaders } = recipe.boot;
  return [
    step(`bootstrap Debian ${debian} ${arch}`, 'bootstrap', {
      SUITE: debian,
      ARCH: arch,
      COMPONENTS: components.join(' '),
    }),
    step(`upgrade and install ${recipe.packages.length} packages`, 'install', {
      ARCH: arch,
      PACKAGES: recipe.packages.join(' '),
    }),
    ...(loaders.length > 0
      ? [step(`fetch ${loaders.join(', ')}`, 'loaders', { ARCH: arch, LOADERS: loaders.join(' ') })]
      : []),
    step('copy rootfs/', 'overlay'),
    ...hooks.toSorted().map((hook) => step(`run hooks/${hook}`, 'hook', { HOOK: hook })),
    step('clean', 'clean'),
    step('make the initramfs', 'initramfs'),
    step('collect the boot tree', arch === 'amd64' ? 'boot-tree-pc' : 'boot-tree'),
    step('squash the root', 'squash'),
  ];
}

function step(name: string, script: string, variables: Step['variables'] = {}): Step {
  return { name, script, variables };
}

/** One line a step, for people. */
export function printPlan(steps: readonly Step[]): string {
  return steps
    .map(({ name, script, variables }, index) => {
      const words = Object.entries(variables).map(([key, value]) => `${key}="${value}"`);
      return `${String(index + 1).padStart(2)}. ${name}  [${[script, ...words].join(' ')}]`;
    })
    .join('\n');
}
