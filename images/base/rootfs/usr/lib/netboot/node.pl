# At boot: what this node has of its own. The image is the same for every node and every appliance, and it is sealed: /etc/hosts and
# /etc/resolv.conf are links into /run/netboot, and sshd_config names the SSH host key there. This fills that folder, and puts the
# node's files where they belong.
use strict;
use Appliance;
use Identity;
use Place;

# Seconds that a boot waits for its identity: the appliance may be starting anew just now. Then it goes on without, and
# netboot-report.service goes on asking.
my $PATIENCE = 20;

my %node = Appliance::node();
my $name = Appliance::contents('/proc/sys/kernel/hostname') =~ s/\n//r;

Place::folder("$Appliance::RUN/ssh");
Appliance::write_file("$Appliance::RUN/hosts", 0644, hosts());
Appliance::write_file("$Appliance::RUN/resolv.conf", 0644, resolv_conf());
# Started again, it leaves all as it is: a token is good for once.
exit 0 if -e $Identity::HOST_KEY;

unless (eval { redeem() }) {
  my $more = -e $Appliance::NONCE ? 'for now' : 'for this boot alone';
  Appliance::complain("this node has no identity from its appliance, and an SSH host key $more: " . $@ =~ s/\n//r);
  system 'ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', "root\@$name", '-f', $Identity::HOST_KEY;
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

sub redeem {
  Identity::begin(\%node);
  my $until = Appliance::uptime() + $PATIENCE;
  until (eval { Identity::redeem(\%node) }) {
    die $@ if !-e $Appliance::NONCE || Appliance::uptime() >= $until;
    select undef, undef, undef, 0.5 + rand;
  }
  return 1;
}
