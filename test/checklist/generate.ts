import { writeFileSync } from 'node:fs';
import { CHECKLIST_FILE, readProofs, renderChecklist } from './proofs.ts';

/** `npm run checklist`: writes test/checklist.md anew. */
writeFileSync(CHECKLIST_FILE, renderChecklist(readProofs()));
