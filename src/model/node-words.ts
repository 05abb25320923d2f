/**
 * Words of the kernel's command line that say where the root is and who the node is: ours alone. An imported system's
 * own names a disk (`root=PARTUUID=…`, `init=…/init_resize.sh`, `resize`) that a diskless Pi would wait for without end.
 */
export const NODE_WORDS =
  /^(root|rootfstype|rootflags|nfsroot|init|ip|fsck\.repair|nfs\.nfs4_unique_id|systemd\.(hostname|machine_id|unit)|netboot\.[\w.-]+)=|^(ro|rw|resize)$/;
