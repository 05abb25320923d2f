import { importSteps } from '../import/steps.ts';
import { baseOf, type ImageSource, type RecipeChain, settingsOf } from '../recipe/chain.ts';
import { payloadSteps } from './payload-steps.ts';
import { planFiles, planUnits, planUsers } from './plan-image.ts';
import type { PackageRequest, Step } from './step.ts';

/** All the steps that turn a chain of recipes into a root squashfs and a boot tree, in order. */
export function plan(chain: RecipeChain): readonly Step[] {
  const users = new Set<string>();
  return [
    ...baseSteps(chain),
    ...chain.images.flatMap((image) => {
      for (const { name } of image.recipe.users) users.add(name);
      return imageSteps(chain, image, users);
    }),
    ...finish(chain),
  ];
}

/** What a step is, unless it says so itself. */
const step = (id: string, name: string, script: string, rest: Partial<Step> = {}): Step => ({
  id,
  name,
  script,
  variables: {},
  inputs: [],
  output: 'layer',
  ...rest,
});

function baseSteps(chain: RecipeChain): Step[] {
  const base = baseOf(chain);
  const image = chain.images[0]?.name ?? chain.name;
  if (base.kind === 'debian') {
    const { suite, arch } = base;
    const title = `bootstrap Debian ${suite} ${arch}`;
    const packages = requestOf(chain, chain.images[0], 'debian', {});
    return [step(`${image}/bootstrap`, title, 'bootstrap', { variables: { SUITE: suite }, packages })];
  }
  const { kind, file, sha256 } = base;
  if (kind === 'image') return importSteps(image, { file, sha256 });
  const title = `unpack ${file.split('/').at(-1)}`;
  return [step(`${image}/import`, title, 'import-tarball', { source: { kind, file, sha256 } })];
}

function imageSteps(chain: RecipeChain, image: ImageSource, users: ReadonlySet<string>): Step[] {
  const { name, recipe, hooks, localDebs } = image;
  const { add, remove, upgrade } = recipe.packages;
  const steps: Step[] = [];
  if (add.length > 0 || remove.length > 0 || upgrade || localDebs.length > 0) {
    const count = add.length + localDebs.length;
    const doing = [
      ...(upgrade ? ['upgrade'] : []),
      ...(count > 0 ? [`install ${count} packages`] : []),
      ...(remove.length > 0 ? [`remove ${remove.length}`] : []),
    ];
    steps.push(
      step(`${name}/packages`, doing.join(', '), 'packages', {
        variables: { PACKAGES: add.join(' ') },
        packages: requestOf(chain, image, 'root', { add, remove, upgrade, local: localDebs }),
      }),
    );
  }
  const files = planFiles(image, users);
  if (files)
    steps.push(step(`${name}/files`, `lay ${files.count} files over the root`, 'files', files.parts));
  const people = planUsers(image, users);
  if (people)
    steps.push(step(`${name}/users`, `make users ${people.names.join(', ')}`, 'users', people.parts));
  const units = planUnits(image);
  if (units) steps.push(step(`${name}/units`, 'enable and disable units', 'units', units));
  for (const hook of hooks) {
    steps.push(
      step(`${name}/hooks/${hook.name}`, `run hooks/${hook.name}`, 'hook', {
        variables: { ...hook.variables, HOOK: hook.name },
        inputs: [hook.input],
        network: hook.network,
      }),
    );
  }
  return steps;
}

/**
 * Request of a step; on a root that is no Debian from the archive the root's own sources count. The mirror is that of the
 * image whose step it is: where a child gets its packages is nothing to those of its parent.
 */
function requestOf(
  chain: RecipeChain,
  image: ImageSource | undefined,
  onto: PackageRequest['onto'],
  rest: Partial<PackageRequest>,
): PackageRequest {
  const base = baseOf(chain);
  const { arch } = chain;
  const mirror = image?.recipe.mirror;
  return {
    onto,
    arch,
    ...(base.kind === 'debian' ? { suite: base.suite, components: base.components } : {}),
    ...(mirror === undefined ? {} : { mirror }),
    add: [],
    remove: [],
    upgrade: false,
    fetchOnly: [],
    local: [],
    ...rest,
  };
}

/** What becomes of the root that is done: a boot tree and a squashfs. */
function finish(chain: RecipeChain): Step[] {
  const { name: image, arch } = chain;
  const { boot } = settingsOf(chain);
  const { suite, components, mirror } = requestOf(chain, chain.images.at(-1), 'root', {});
  const archive = {
    ...(suite === undefined ? {} : { suite }),
    ...(components === undefined ? {} : { components }),
    ...(mirror === undefined ? {} : { mirror }),
  };
  return [step(`${image}/clean`, 'clean', 'clean'), ...payloadSteps({ image, arch, boot, archive })];
}

/** What the cache says of a step. */
export type StepState =
  | { readonly kind: 'cached' }
  | { readonly kind: 'will run' }
  /** As something before it runs, what it stands on is not known yet. */
  | { readonly kind: 'runs after'; readonly id: string };

/** One line a step, for people. */
export function printPlan(steps: readonly Step[], states: readonly StepState[]): string {
  const width = Math.max(...steps.map(({ id }) => id.length));
  return steps
    .map(({ id, name }, index) => {
      const state = states[index];
      const said = state?.kind === 'runs after' ? `runs after ${state.id}` : state?.kind;
      return `${String(index + 1).padStart(2)}. ${id.padEnd(width)}  ${name}${said ? `  [${said}]` : ''}`;
    })
    .join('\n');
}
