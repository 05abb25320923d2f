# Tells the appliance once a minute how this node is, and waits at it for orders: one exchange is both. It starts two small
# programs for it. Where the boot found no appliance, it asks for the node's identity first.
use strict;
use Appliance;

# Seconds: between reports; between those of a system that starts; until a reboot has to have begun.
my ($MINUTE, $STARTING, $REBOOT) = (60, 3, 90);
my $MOST_UNITS = 50;

my %node = Appliance::node();
my ($key, $run);
# How many reports this run of the appliance has got. When we do not know, it tells.
my $count = 0;
# The last order that was taken, and whether the appliance knows.
my ($taken, $is_told) = ('', 1);
my $target = $node{target};
my $throttled = throttled_reader();

$SIG{TERM} = sub { die "stopping\n" };
eval {
  become_known() if -e $Appliance::NONCE;
  ($key, $run) = split ' ', Appliance::contents($Appliance::REPORT_KEY);
  keep_reporting();
};
die $@ if $@ ne "stopping\n";
$SIG{TERM} = 'IGNORE';
# The network is there to the end: the root hangs on it. Somebody may have stopped this service alone, too.
eval { report('stopping', 0, 5) } if defined $key && state() eq 'stopping';

# The boot went on without an identity, which may still come. It ends here when it never will: there is nothing to report with.
sub become_known {
  require Identity;
  my $delay = 1;
  until (redeem()) {
    if (!-e $Appliance::NONCE) {
      Appliance::complain('this node gets no identity in this boot: ' . $@ =~ s/\n//r);
      exit 0;
    }
    # Never all nodes of a rack together.
    pause($delay * (0.5 + rand 0.5));
    $delay = longer($delay);
  }
  Appliance::say('this node has its identity; what read its files before that has to be started again');
  # The host key that it began with was for the meantime.
  system 'systemctl', '--no-block', 'try-restart', 'ssh.service';
}

# Who stops it meanwhile waits: what was given is put there to the end, as e2fsck must not be killed while it mends a disk.
sub redeem {
  my $is_stopping;
  local $SIG{TERM} = sub { $is_stopping = 1 };
  my $is_known = eval { Identity::redeem(\%node) };
  die "stopping\n" if $is_stopping;
  return $is_known;
}

sub longer { return 2 * $_[0] > $MINUTE ? $MINUTE : 2 * $_[0] }

sub keep_reporting {
  my $delay = 0;
  while (1) {
    my $began = Appliance::uptime();
    my $state = state();
    my $wait = $delay || $state =~ /^(initializing|starting)$/ ? 0 : $MINUTE;
    my $order = eval { report($state, $wait, $wait + 15) };
    if (my $why = $@) {
      die $why if $why eq "stopping\n";
      Appliance::complain('the appliance does not take reports: ' . $why =~ s/\n//r) if $delay == 0;
      # Longer each time, and never all nodes of a rack together.
      $delay = $delay ? longer($delay) : 1;
      pause($delay * (0.5 + rand 0.5));
      next;
    }
    Appliance::say('the appliance takes reports again') if $delay;
    $delay = 0;
    obey(split ' ', $order) if $order;
    my $took = Appliance::uptime() - $began;
    # Where a report takes long, the boot has more need of the processor.
    my $starting = $took < 1 ? $STARTING : 5 * $STARTING;
    pause(($order ? 1 : $wait || $starting) - $took);
  }
}

# Sends one report; gives the order that came back, if one did.
sub report {
  my ($state, $wait, $seconds) = @_;
  for (1, 2) {
    my $done = $is_told ? undef : $taken;
    $count++;
    my $body = join '', map { "$_\n" } "serial $node{serial}", "run $run", "seq $count", "wait $wait", condition($state),
      defined $done ? "done $done" : ();
    my ($status, $text) = Appliance::exchange(\%node, '/v1/report', $key, $body, $seconds);
    die "$text\n" if $status == 403;
    my %answer = Appliance::fields($text);
    if ($status == 200) {
      $is_told = 1 if defined $done;
      return $answer{order};
    }
    # It was started anew and counts anew, or we were.
    ($run, $count) = ($answer{run}, $answer{seq});
  }
  die "it counts our reports otherwise than we do\n";
}

sub obey {
  my ($id, $order, $unit) = @_;
  my $is_new = $id ne $taken;
  ($taken, $is_told) = ($id, 0);
  return unless $is_new;
  if ($order eq 'reboot') {
    Appliance::say('the appliance orders a reboot');
    # It ends this program. What hangs later on the way down is cut short by reboot.target.d/netboot.conf.
    pause($REBOOT) if system('systemctl', 'reboot') == 0;
    Appliance::complain('the reboot did not begin: now by force');
    system('systemctl', 'reboot', '--force') == 0 or system('systemctl', 'reboot', '--force', '--force');
  } elsif ($order eq 'isolate' && ($unit // '') =~ /^\w[\w.\@:-]*\.target$/) {
    Appliance::say("the appliance orders $unit");
    $target = $unit if system('systemctl', '--no-block', 'isolate', '--', $unit) == 0;
  } else {
    Appliance::complain('the appliance gave an order that this node does not know');
  }
}

# One of the states of `systemctl is-system-running`. A manager that does not answer is nothing to be content with.
sub state {
  my ($state) = Appliance::output(qw(systemctl is-system-running));
  return ($state // '') =~ /^(initializing|starting|running|degraded|maintenance|stopping)$/ ? $1 : 'degraded';
}

sub condition {
  my ($state) = @_;
  my %memory = Appliance::contents('/proc/meminfo') =~ /^(MemTotal|MemAvailable): +(\d+) kB$/mg;
  my $millidegrees = Appliance::contents('/sys/class/thermal/thermal_zone0/temp');
  my $bits = $throttled->();
  return (
    "generation $node{generation}",
    'root ' . root(),
    'uptime ' . Appliance::uptime(),
    'clock ' . time,
    "state $state",
    failed($state),
    is_active($state) ? "target $target" : (),
    "memory $memory{MemTotal} $memory{MemAvailable}",
    $millidegrees =~ /^-?\d+$/ ? sprintf('temperature %.1f', $millidegrees / 1000) : (),
    defined $bits ? "throttled $bits" : (),
    root() eq 'private' ? disk() : (),
  );
}

# As it is mounted, whatever the command line asked for.
sub root {
  my ($type) = reverse Appliance::contents('/proc/mounts') =~ m{^\S+ / (\S+) }mg;
  return ($type // '') eq 'overlay' ? $node{root} : 'readonly';
}

sub failed {
  my ($state) = @_;
  return if $state eq 'running' || $state eq 'stopping';
  my @units = map { (split ' ')[0] // () } Appliance::output(qw(systemctl list-units --state=failed --plain --no-legend));
  splice @units, $MOST_UNITS if @units > $MOST_UNITS;
  return @units ? "failed @units" : ();
}

sub is_active {
  my ($state) = @_;
  return defined $target && $state =~ /^(running|degraded)$/ && system('systemctl', 'is-active', '--quiet', '--', $target) == 0;
}

# An overlay has the room that its upper half has.
sub disk {
  my ($unit, $blocks, $available) = split ' ', join '', Appliance::output(qw(stat --file-system), '--format=%S %b %a', '/');
  return defined $available ? 'disk ' . $unit * $blocks . ' ' . $unit * $available : ();
}

# How to learn the bits of `get_throttled`: from Raspberry Pi's kernel, or its tool; Debian's kernel tells of low voltage alone,
# which is bit 16 (drivers/hwmon/raspberrypi-hwmon.c).
sub throttled_reader {
  my ($bits) = glob '/sys/devices/platform/soc*/*firmware/get_throttled';
  return sub { Appliance::contents($bits) =~ /^(?:0x)?([0-9a-f]+)$/ ? $1 : undef } if defined $bits;
  if (-e '/dev/vcio' && -x '/usr/bin/vcgencmd') {
    return sub { join('', Appliance::output(qw(vcgencmd get_throttled))) =~ /=0x([0-9a-f]+)$/m ? $1 : undef };
  }
  my ($monitor) = grep { Appliance::contents("$_/name") eq "rpi_volt\n" } glob '/sys/class/hwmon/hwmon*';
  return sub { Appliance::contents("$monitor/in0_lcrit_alarm") =~ /^1/ ? '10000' : '0' } if defined $monitor;
  return sub { undef };
}

sub pause { select undef, undef, undef, $_[0] if $_[0] > 0 }
