# At boot: what this node has of its own. The image is the same for every node and every appliance, and it is sealed: /etc/hosts,
# /etc/resolv.conf and the SSH host key are links into /run/netboot, which this fills; the node's files go where they belong.
use strict;
use Appliance;
use Place;

my $HOST_KEY = "$Appliance::RUN/ssh/ssh_host_ed25519_key";
# Seconds that a boot waits for its identity.
my $PATIENCE = 20;

my %node = Appliance::node();
my $name = Appliance::contents('/proc/sys/kernel/hostname') =~ s/\n//r;

Place::folder("$Appliance::RUN/ssh");
Appliance::write_file("$Appliance::RUN/hosts", 0644, hosts());
Appliance::write_file("$Appliance::RUN/resolv.conf", 0644, resolv_conf());
# Started again, it leaves all as it is: a token is good for once.
exit 0 if -e $HOST_KEY;

my $identity = eval { redeem() };
if ($identity) {
  take($identity);
} else {
  Appliance::complain('this node has no identity from its appliance, and an SSH host key for this boot alone: ' . $@ =~ s/\n//r);
  system 'ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', "root\@$name", '-f', $HOST_KEY;
}

sub hosts {
  return "127.0.0.1 localhost\n127.0.1.1 $name\n" . ($node{server} ? "$node{server} appliance\n" : '');
}

# The initramfs leaves what its DHCP exchange learnt in /run/net-<interface>.conf, in shell syntax.
sub resolv_conf {
  my %said = map { /^(\w+)='?([^']*)'?$/ ? ($1 => $2) : () } map { split /\n/, Appliance::contents($_) } glob '/run/net-*.conf';
  my @servers = grep { $_ && $_ ne '0.0.0.0' } @said{qw(IPV4DNS0 IPV4DNS1)};
  return join '', ($said{DNSDOMAIN} ? "search $said{DNSDOMAIN}\n" : ()), map { "nameserver $_\n" } @servers;
}

# The answer of the appliance to this boot's token. The token stays in /proc/cmdline, where every user can read it: by the time
# there are users it is spent, as no other nonce is answered.
sub redeem {
  my $token = $node{token} // die "its command line has no token\n";
  my ($since) = $token =~ /^([0-9a-z]+)\./ or die "the token on its command line is none\n";
  open my $random, '<:raw', '/dev/urandom' or die "/dev/urandom: $!\n";
  read $random, my $nonce, 16;
  my $request = "serial $node{serial}\nsince $since\nnonce " . unpack('H*', $nonce) . "\n";
  # The appliance may be starting anew just now, or the answer was lost: with the same nonce one may ask again. But a boot goes on.
  my $until = Appliance::uptime() + $PATIENCE;
  while (1) {
    my ($status, $text) = eval { Appliance::exchange(\%node, '/v1/identity', $token, $request, 10) };
    my $why = $@;
    return $text if defined $status && $status == 200;
    die "it was refused: $text\n" if defined $status;
    die $why if Appliance::uptime() >= $until;
    select undef, undef, undef, 0.5 + rand;
  }
}

sub take {
  my ($text) = @_;
  my %given = Appliance::fields($text);
  Appliance::write_file($HOST_KEY, 0600, Appliance::decode_base64($given{'host-key'}));
  Appliance::write_file("$HOST_KEY.pub", 0644, "$given{'host-key-public'}\n");
  Appliance::write_file($Appliance::REPORT_KEY, 0600, "$given{'report-key'} $given{run}\n");
  Place::files($node{root}, map { file($_) } $text =~ /^file (.*)$/mg);
  if (defined $given{block}) {
    eval { mount_block($given{block}); 1 } or Appliance::complain("no file system at $given{block}: $@" =~ s/\n//r);
  }
  Place::seal();
}

sub file {
  my ($mode, $owner, $group, $path, $base64) = split ' ', $_[0];
  my $content = $base64 eq '-' ? '' : Appliance::decode_base64($base64);
  return { mode => $mode, owner => $owner, group => $group, path => $path, content => $content };
}

# A file system of this node's own in a file on the appliance: overlayfs, which containers need, cannot write to NFS.
sub mount_block {
  my ($path) = @_;
  my $private = "$Appliance::RUN/private";
  my $is_ours = !-e "$private/block.ext4";
  Place::folder($path) unless -d $path;
  if ($is_ours) {
    Place::folder($private);
    my $from = "$node{server}:$node{exports}/private/$node{serial}";
    Place::mount('-t', 'nfs', '-o', "$node{nfs},proto=tcp,nolock,noatime,retry=0", $from, $private);
  }
  Place::mount('-o', 'loop,noatime', "$private/block.ext4", $path);
  # The loop device keeps what it needs of it, and at shutdown there is no order of two to be known.
  system 'umount', '--lazy', $private if $is_ours;
}
