# All that makes this node this node, from its appliance: asked for while it boots (node.pl), and, when nobody answered then,
# for as long as its token holds (report.pl).
package Identity;
use strict;
use Appliance;
use Place;

our $HOST_KEY = "$Appliance::RUN/ssh/ssh_host_ed25519_key";

# The appliance takes no token that is older. Of uptime, as nobody sets that.
my $TOKEN_SECONDS = 30 * 60;

# Dies when this node is to have no identity.
sub begin {
  my ($node) = @_;
  since($node);
  open my $random, '<:raw', '/dev/urandom' or die "/dev/urandom: $!\n";
  read $random, my $nonce, 16;
  Appliance::write_file($Appliance::NONCE, 0600, unpack('H*', $nonce) . ' ' . (Appliance::uptime() + $TOKEN_SECONDS) . "\n");
}

# Asks once, and takes what is given. Dies with the reason while there is no identity; when the nonce is gone with that, it is for
# good. The identity is the two keys. What else comes with it takes its time, and what fails of that is said.
sub redeem {
  my ($node) = @_;
  my ($nonce, $until) = split ' ', Appliance::contents($Appliance::NONCE);
  my $request = "serial $node->{serial}\nsince " . since($node) . "\nnonce $nonce\n";
  my ($status, $text);
  my $is_known = eval {
    ($status, $text) = Appliance::exchange($node, '/v1/identity', $node->{token}, $request, 10);
    die "it was refused: $text\n" if $status != 200;
    take_keys($text);
    1;
  };
  my $why = $@;
  unlink $Appliance::NONCE if $is_known || ($status // 200) != 200 || Appliance::uptime() >= $until;
  die $why unless $is_known;
  take_rest($node, $text);
  return 1;
}

# When its boot began by the appliance's clock.
sub since {
  my ($node) = @_;
  my $token = $node->{token} // die "its command line has no token\n";
  my ($since) = $token =~ /^([0-9a-z]+)\./ or die "the token on its command line is none\n";
  return $since;
}

sub take_keys {
  my ($text) = @_;
  my %given = Appliance::fields($text);
  Appliance::write_file($HOST_KEY, 0600, Appliance::decode_base64($given{'host-key'}));
  Appliance::write_file("$HOST_KEY.pub", 0644, "$given{'host-key-public'}\n");
  Appliance::write_file($Appliance::REPORT_KEY, 0600, "$given{'report-key'} $given{run}\n");
}

# The block file is last, with all sealed before: to check it may take longer than systemd lets us run. What belongs into its file
# system follows it, which would hide what was there before.
sub take_rest {
  my ($node, $text) = @_;
  my %given = Appliance::fields($text);
  my $block = $given{block};
  my (@files, @inside);
  push @{defined $block && index($_->{path}, "$block/") == 0 ? \@inside : \@files}, $_ for map { file($_) } $text =~ /^file (.*)$/mg;
  attempt('not all files were put there', sub { Place::files($node->{root}, @files) });
  attempt("no folder $block", sub { Place::folder($block) }) if defined $block && !-d $block;
  attempt('some folders stay writable', \&Place::seal);
  if (defined $block && -d $block && attempt("no file system at $block", sub { mount_block($node, $block) })) {
    Place::put(@inside);
  } else {
    Appliance::complain("$_->{path} was not put there: it belongs into the file system at $block") for @inside;
  }
}

# Whether it did.
sub attempt {
  my ($otherwise, $do) = @_;
  return 1 if eval { $do->(); 1 };
  Appliance::complain("$otherwise: $@" =~ s/\n//r);
  return 0;
}

sub file {
  my ($mode, $owner, $group, $path, $base64) = split ' ', $_[0];
  my $content = $base64 eq '-' ? '' : Appliance::decode_base64($base64);
  return { mode => $mode, owner => $owner, group => $group, path => $path, content => $content };
}

# A file system of this node's own in a file on the appliance: overlayfs, which containers need, cannot write to NFS.
sub mount_block {
  my ($node, $path) = @_;
  Place::safe($path);
  my $private = "$Appliance::RUN/private";
  my $disk = "$private/block.ext4";
  my $is_ours = !-e $disk;
  my $folder = "$node->{exports}/private/$node->{serial}";
  if ($is_ours) {
    Place::folder($private);
    Place::mount('-t', 'nfs', '-o', "$node->{nfs},proto=tcp,nolock,noatime,retry=0", "$node->{server}:$folder", $private);
  }
  my $mounted = eval { check($disk, "$folder/block.ext4"); Place::mount('-o', 'loop,noatime', $disk, $path); 1 };
  my $why = $@;
  # The loop device keeps what it needs of it, and at shutdown there is no order of two to be known.
  system 'umount', '--lazy', $private if $is_ours;
  die $why unless $mounted;
}

# By the image's e2fsck, where it has one. What that cannot mend by itself (e2fsck(8): 4, 8) waits for somebody.
sub check {
  my ($disk, $from) = @_;
  die "it is not there; the appliance makes it where its own disk has room for it\n" unless -s $disk;
  my $program = '/usr/sbin/e2fsck';
  return unless -x $program;
  Appliance::say("e2fsck: $_") for map { s/\n//r } grep { !/: clean, / } Appliance::output($program, '-p', $disk);
  die "it is damaged; see to it on the appliance: e2fsck -f $from\n" if $? & (12 << 8);
}

1;
