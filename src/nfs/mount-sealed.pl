# Mounts a squashfs from a given loop device, in two system calls that losetup and mount(8) do not make like this:
#
# - LOOP_CONFIGURE (linux/loop.h) with the autoclear flag: while the device is open here it is ours, and from then on
#   the mount keeps it. Killed at any moment, nothing stays attached. mount's own loop= does the same but refuses a file
#   that is on another loop device, too, as it is when two appliances of one machine share a generation.
# - mount(2) with MS_POSIXACL, which mount(8) has no word for. Ganesha 6.5 (Debian 13) asks for the ACL of all it looks
#   at and answers NFS3ERR_NOTSUPP where fgetxattr(2) says EOPNOTSUPP (FSAL_VFS/vfs/attrs.c, acl_get_fd), as it does on
#   squashfs. With the flag it says ENODATA, "no ACL here" (Linux 6.2 on; Debian 13 has 6.12). 4.3 (Debian 12) does not
#   ask.
#
# usage: perl mount-sealed.pl <number of mount(2) on this architecture> <loop number> <squashfs> <folder>
use strict;
use warnings;

use constant { LOOP_CTL_ADD => 0x4C80, LOOP_CONFIGURE => 0x4C0A, LO_READ_ONLY => 1, LO_AUTOCLEAR => 4 };
use constant { MS_RDONLY => 1, MS_NOSUID => 2, MS_NODEV => 4, MS_POSIXACL => 1 << 16 };

my ($mount, $number, $squashfs, $folder) = @ARGV;
my ($device, $type, $options) = ("/dev/loop$number", 'squashfs', '');

open my $control, '+<', '/dev/loop-control' or die "/dev/loop-control: $!\n";
ioctl $control, LOOP_CTL_ADD, $number + 0 or $!{EEXIST} or die "$device cannot be made: $!\n";
open my $file, '<', $squashfs or die "$squashfs: $!\n";

# One that its last mount has just left is let go in a moment.
my $loop;
for my $try (1 .. 20) {
  last if open $loop, '<', $device;
  die "$device: $!\n" if !$!{ENXIO} or $try == 20;
  select undef, undef, undef, 0.1;
}

# struct loop_config: fd, block_size, and of struct loop_info64 only lo_flags.
my $config = pack 'L L x52 L x240', fileno $file, 0, LO_READ_ONLY | LO_AUTOCLEAR;
# Busy: the same generation is mounted from it in another namespace, and is shared.
ioctl $loop, LOOP_CONFIGURE, $config or $!{EBUSY} or die "$squashfs cannot be attached to $device: $!\n";

my $flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_POSIXACL;
syscall($mount + 0, $device, $folder, $type, $flags, $options) == 0
  or die "$squashfs cannot be mounted at $folder: $!\n";
