import type { Step } from '../plan/step.ts';
import { adaptInputs } from './inputs.ts';

/** The first steps of an image whose base is a disk image: copy it, then undo what belongs to a card. */
export function importSteps(image: string, base: { readonly file: string; readonly sha256: string }): Step[] {
  return [
    {
      id: `${image}/import`,
      name: 'copy the system out of the image',
      script: 'import',
      variables: {},
      inputs: [],
      source: { kind: 'image', file: base.file, sha256: base.sha256 },
      output: 'layer',
    },
    {
      id: `${image}/adapt`,
      name: 'make it fit for a shared NFS root',
      script: 'adapt',
      variables: {},
      inputs: adaptInputs(),
      output: 'layer',
    },
  ];
}
