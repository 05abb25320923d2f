# Puts a node's own files where they belong, whatever its root is.
package Place;
use strict;
use Appliance;

# The sealed root below an overlay (netboot's imaging/initramfs/init), and what was put onto a disk of the node's own.
my ($SEALED_ROOT, $PLACED) = ('/run/netboot/lower', '/var/lib/netboot/placed');
# errno(3): read-only file system.
my $EROFS = 30;

# Folders that got a layer in memory.
my @layers;

# What is put onto a disk of the node's own is on record there: it may have to go again.
sub files {
  my ($root, @files) = @_;
  eval { withdraw(map { $_->{path} } @files) } if $root eq 'private';
  Appliance::complain("what is put onto this disk is not recorded: $@" =~ s/\n//r) if $@;
  put(@files);
}

# Each of the files is {path, mode, owner, group, content}. What fails with one is said, and nothing to the others.
sub put {
  my (@files) = @_;
  # New names first, the shortest folder first: a layer over a folder would hide what was mounted below it.
  my $rank = sub { (-e $_[0]{path} ? 1e6 : 0) + length folder_of($_[0]{path}) };
  for my $file (sort { $rank->($a) <=> $rank->($b) } @files) {
    eval { place(%$file); 1 } or Appliance::complain("$file->{path} was not put there: $@" =~ s/\n//r);
  }
}

sub place {
  my (%file) = @_;
  my $uid = getpwnam $file{owner};
  my $gid = getgrnam $file{group};
  Appliance::complain("$file{path} is root's: this image has no user $file{owner} or no group $file{group}")
    unless defined $uid && defined $gid;
  my $path = $file{path};
  my $folder = folder_of($path);
  safe($folder);
  if (-e $path && is_sealed($folder)) {
    # The copy stands in the name's place: the rest of the folder stays sealed.
    $path = "$Appliance::RUN/files$path";
    folder(folder_of($path));
  } else {
    folder($folder);
  }
  Appliance::write_file($path, oct $file{mode}, $file{content}, $uid // 0, $gid // 0);
  mount('--bind', $path, $file{path}) if $path ne $file{path};
}

# Makes a folder, and what is missing above it, and sees that it can be written to. The nearest one that is there gets a layer in
# memory when it is sealed.
sub folder {
  my ($folder) = @_;
  safe($folder);
  my $there = $folder;
  my @missing;
  unshift @missing, $1 while !-d "$there/" && $there =~ s{/([^/]+)$}{};
  layer($there) if is_sealed($there);
  for my $name (@missing) {
    $there .= "/$name";
    # No chmod: it would follow a link that came in its place meanwhile.
    umask 022;
    my $is_made = mkdir $there;
    umask 077;
    die "$there: $!\n" unless $is_made;
  }
}

# Dies when a link is on the way that others than root can have put there: what they may write to on a disk of the node's own is as
# they left it, and we would write as root wherever they may not. Perl has no openat(2): an identity that comes late, when users run,
# leaves them the moment from here to the writing.
sub safe {
  my ($path) = @_;
  my ($there, $links, @left) = ('', 0, split m{/}, $path);
  while (@left) {
    my $name = shift @left;
    next if $name eq '' || $name eq '.';
    if ($name eq '..') {
      $there =~ s{/[^/]*$}{};
      next;
    }
    my ($mode, $uid) = (lstat "$there/")[2, 4] or return; # nothing is there yet
    $there .= "/$name";
    defined(my $to = readlink $there) or next;
    die "$there is a link, and not root's alone\n" if $uid != 0 || $mode & 022 || ++$links > 40;
    $there = $to =~ m{^/} ? '' : folder_of($there);
    unshift @left, split m{/}, $to;
  }
}

sub layer {
  my ($folder) = @_;
  die "the root is sealed and has no such folder; root overlay or private would take it\n" if $folder eq '';
  my $memory = "$Appliance::RUN/layers/" . @layers;
  folder("$memory/$_") for qw(upper work covered);
  # The merged folder has the owner and the mode of its upper half.
  my ($mode, $uid, $gid) = (stat $folder)[2, 4, 5];
  chown $uid, $gid, "$memory/upper" and chmod $mode & 07777, "$memory/upper" or die "$memory: $!\n";
  # What is mounted below would be hidden, and is mounted again above: folders, and files as systemd's /etc/machine-id.
  my @below = grep { m{^\Q$folder\E/} && -e } map { (split ' ')[1] } split /\n/, Appliance::contents('/proc/self/mounts');
  for my $number (0 .. $#below) {
    -d $below[$number] ? folder("$memory/covered/$number") : Appliance::write_file("$memory/covered/$number", 0600, '');
    mount('--bind', $below[$number], "$memory/covered/$number");
  }
  my $lower = $folder =~ s/:/\\:/gr;
  mount('-t', 'overlay', '-o', "lowerdir=$lower,upperdir=$memory/upper,workdir=$memory/work", 'netboot', $folder);
  push @layers, $folder;
  for my $number (0 .. $#below) {
    mount('--bind', "$memory/covered/$number", $below[$number]);
    system 'umount', "$memory/covered/$number";
  }
}

# The layers are for what is put there now: from here on these folders are as sealed as the root.
sub seal { mount('-o', 'remount,bind,ro', $_) for splice @layers }

# A disk of the node's own keeps what earlier boots put there. What the node is no longer given goes, and a file of
# the image comes back: at each boot, as the next generation may have another. The record is last, for a full disk takes none;
# until there is a new one, the old one holds.
sub withdraw {
  my %given = map { $_ => 1 } @_;
  my @stale = grep { !$given{$_} } split /\n/, Appliance::contents($PLACED);
  my @left = grep { !eval { remove($_); 1 } and complain_of($_, $@) } @stale;
  my %is_left = map { $_ => 1 } @left;
  my @ours = grep { !$is_left{$_} && (-l "$SEALED_ROOT$_" || -e _) } @stale;
  restore($_) for @ours;
  if (%given || @stale) {
    folder(folder_of($PLACED));
    Appliance::write_file($PLACED, 0600, join '', map { "$_\n" } sort keys %given, @left, @ours);
  }
}

# As a whole, or not at all.
sub restore {
  my ($path) = @_;
  my $new = "$path.netboot-new";
  my @cp = qw(cp --archive --no-target-directory --remove-destination);
  return if system(@cp, "$SEALED_ROOT$path", $new) == 0 && rename $new, $path;
  unlink $new;
  Appliance::complain("$path of the image did not come back; the next boot tries again");
}

sub remove {
  my ($path) = @_;
  safe(folder_of($path));
  !lstat $path or unlink $path or die "$!\n";
}

sub complain_of {
  my ($path, $why) = @_;
  Appliance::complain("$path of an earlier boot is still there, and ought not to be: $why" =~ s/\n//r);
  return 1;
}

sub is_sealed {
  my ($folder) = @_;
  return !(mkdir "$folder/.netboot-new" and rmdir "$folder/.netboot-new") && $! == $EROFS;
}

sub folder_of { return $_[0] =~ s{/[^/]*$}{}r }

sub mount { system('mount', @_) == 0 or die "mount @_ failed\n" }

1;
