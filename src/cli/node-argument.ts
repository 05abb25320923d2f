import { Argument } from 'commander';

/** A node, by any of the names it has. @param flags `<node...>` where there may be many. */
export const nodeArgument = (flags = '<node>'): Argument => new Argument(flags, 'serial number, name or MAC');
