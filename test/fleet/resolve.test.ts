import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  makeMembers,
  type Profile,
  resolveNode,
  settle,
  withNode,
  withoutNode,
  withProfile,
} from '../../src/fleet/resolve.ts';
import { type NodeSettings, type OwnNode, ownNodeSchema } from '../../src/model/node.ts';
import type { RootSettings } from '../../src/model/root-mode.ts';

const own = (values: object = {}): OwnNode =>
  ownNodeSchema.parse({ serial: '9ffefdef', name: 'pi1', ...values });
const rack = (settings: NodeSettings): Profile => ({ name: 'rack', settings });

describe('what a node is set to', () => {
  const cases: ReadonlyArray<{
    what: string;
    node: object;
    profile?: NodeSettings;
    image?: RootSettings;
    default?: string;
    values: object;
    origins: object;
  }> = [
    {
      what: 'nobody says anything but the default image',
      node: {},
      default: 'web',
      values: { image: 'web', root: 'readonly', nfs: 3 },
      origins: { image: 'default', root: 'default', nfs: 'default' },
    },
    {
      what: 'the profile says it, over the default and the image',
      node: { profile: 'rack' },
      profile: { image: 'db', root: 'overlay', role: 'web' },
      image: { root: 'private', nfs: 4, memory: '10%' },
      default: 'web',
      values: { image: 'db', root: 'overlay', role: 'web', nfs: 4, memory: '10%' },
      origins: {
        image: 'profile rack',
        root: 'profile rack',
        role: 'profile rack',
        nfs: 'image',
        memory: 'image',
      },
    },
    {
      what: 'the node says it, over the profile',
      node: { profile: 'rack', image: 'web', root: 'private', disk: '4G', ramdisk: false },
      profile: { image: 'db', root: 'overlay', memory: '1G', ramdisk: true, outlet: 'a:1' },
      values: {
        image: 'web',
        root: 'private',
        disk: '4G',
        ramdisk: false,
        memory: '1G',
        outlet: 'a:1',
        nfs: 3,
      },
      origins: {
        image: 'node',
        root: 'node',
        disk: 'node',
        ramdisk: 'node',
        memory: 'profile rack',
        outlet: 'profile rack',
        nfs: 'default',
      },
    },
    {
      what: 'a private root has a disk by default, and no memory',
      node: { image: 'web' },
      image: { root: 'private' },
      values: { image: 'web', root: 'private', disk: '2G', nfs: 3 },
      origins: { image: 'node', root: 'image', disk: 'default', nfs: 'default' },
    },
  ];
  for (const { what, node, profile, image, default: defaultImage, values, origins } of cases) {
    it(what, () => {
      const settled = settle(own(node), profile && rack(profile), defaultImage, image);
      assert.deepEqual(settled.settings, values);
      assert.deepEqual(settled.origins, origins);
    });
  }

  it('has no image when nobody names one', () => {
    assert.equal(resolveNode(own(), rack({ role: 'web' }), undefined), undefined);
  });

  const settings = fc.record(
    {
      image: fc.constantFrom('web', 'db'),
      role: fc.constantFrom('a', 'b'),
      ramdisk: fc.boolean(),
      root: fc.constantFrom('readonly' as const, 'overlay' as const, 'private' as const),
      nfs: fc.constantFrom(3 as const, 4 as const),
      power: fc.constantFrom('poe', 'plug'),
    },
    { requiredKeys: [] },
  );

  it('is, of every setting, the first that is said: by the node, by its profile, by default', () => {
    fc.assert(
      fc.property(settings, settings, fc.constantFrom('web', undefined), (mine, shared, defaultImage) => {
        const node = resolveNode(own({ ...mine, profile: 'rack' }), rack(shared), defaultImage);
        const said = { image: defaultImage, ...shared, ...mine };
        if (said.image === undefined) return assert.equal(node, undefined);
        assert.deepEqual(node, { serial: '9ffefdef', name: 'pi1', profile: 'rack', ...said });
      }),
    );
  });

  it('comes out the same whether changed step by step or read at once', () => {
    const serials = ['00000001', '00000002', '00000003'];
    const step = fc.oneof(
      fc.record({ serial: fc.constantFrom(...serials), settings, profile: fc.constantFrom('a', 'b') }),
      fc.record({ profile: fc.constantFrom('a', 'b'), settings }),
      fc.record({ remove: fc.constantFrom(...serials) }),
    );
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        let members = makeMembers(new Map(), new Map(), 'web');
        for (const each of steps) {
          if ('remove' in each) members = withoutNode(members, own({ serial: each.remove }).serial);
          else if ('serial' in each) {
            const node = own({ ...each.settings, serial: each.serial, profile: each.profile });
            members = withNode(members, node, 'web');
          } else members = withProfile(members, { name: each.profile, settings: each.settings }, 'web');
        }
        const sorted = (map: ReadonlyMap<string, unknown>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
        const again = makeMembers(members.own, members.profiles, 'web');
        assert.deepEqual(sorted(members.nodes), sorted(again.nodes));
      }),
    );
  });
});
