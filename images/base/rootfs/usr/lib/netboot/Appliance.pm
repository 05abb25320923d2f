# Who this node is, as the kernel's command line says, and how it talks to its appliance. With what every Debian root has:
# perl-base, which has neither SHA nor HTTP nor JSON in it, and coreutils. As boots wait for it, hardly any module is loaded:
# Perl's -w is `use warnings`.
package Appliance;
use strict;
use Sha256;

# In memory; what is secret in it only root can read.
our $RUN = '/run/netboot';
our $REPORT_KEY = "$RUN/report-key";
# What the identity is asked for with, again and again, as an answer can get lost, and until which uptime. It is there for as long
# as the identity may still come; who has it and the token is given the same once more.
our $NONCE = "$RUN/nonce";

my $MOST_ANSWER_BYTES = 5 * 2**20;
# Linux, on ARM and on x86. The Socket module would take as long to load as all of this, and Errno, too.
my ($AF_INET, $SOCK_STREAM, $EADDRINUSE) = (2, 1, 98);
# open(2): write, create, and nothing that is there, be it a link.
my $WRITE_NEW = 0001 | 0100 | 0200;
# Ports that only root may ask from: as NFS clients, above those that most services listen at.
my ($FIRST_ROOT_PORT, $LAST_ROOT_PORT) = (600, 1023);

umask 077;

# The words that the appliance writes (netboot's boot/cmdline-txt.ts). Its address, and the names of its exports and of this
# node's generation, are those of the root.
sub node {
  my %word = map { /^([^=]+)=(.*)$/ ? ($1 => $2) : () } split ' ', contents('/proc/cmdline');
  my ($server, $root, $options) = ($word{nfsroot} // '') =~ /^([\d.]+):([^,]+)(.*)$/;
  my ($exports, $generation) = ($root // '') =~ m{^(.*)/images/([^/]+)$};
  my ($version) = ($options // '') =~ /,(vers=[\d.]+)/;
  # Ours ends in the serial number (boot/machine-id.ts).
  my ($serial) = ($word{'systemd.machine_id'} // '') =~ /([0-9a-f]{8})$/;
  return (
    server => $server,
    port => $word{'netboot.port'} // 8064,
    serial => $serial,
    token => $word{'netboot.token'},
    exports => $exports,
    generation => $generation // 'unknown',
    nfs => $version // 'vers=3',
    root => $word{'netboot.root'} // 'readonly',
    target => $word{'systemd.unit'},
  );
}

# One signed request and its answer: (status, body). `seconds` is how long all of it may take. Dies with the reason, and of an
# answer that was made by anybody else, or to another request, or was cut short. The identity is asked for as root: the token
# that it is signed with every user can read.
sub exchange {
  my ($node, $path, $key, $body, $seconds) = @_;
  my $mac = hmac($key, "$path\n$body");
  my $request = join "\r\n", "POST $path HTTP/1.1", "Host: $node->{server}:$node->{port}", 'Connection: close',
    'Content-Type: text/plain; charset=utf-8', 'Content-Length: ' . length $body, "Netboot-Mac: $mac", '', $body;
  my ($head, $text) = (split(/\r\n\r\n/, converse($node, $request, $seconds, $path eq '/v1/identity'), 2), '', '');
  my ($status) = $head =~ m{^HTTP/1\.\d (\d{3})} or die "no answer\n";
  # A refusal may come from one who cannot know our key; it is a line for the journal.
  return ($status, $text =~ s/[^ -~].*//sr) if $status == 403;
  die "the appliance answered with HTTP status $status\n" if $status != 200 && $status != 409;
  my ($answer_mac) = $head =~ /^netboot-mac: *([0-9a-f]{64})\r?$/im;
  die "the answer was not signed by our appliance\n" if ($answer_mac // '') ne hmac($key, "answer\n$mac\n$text");
  return ($status, $text);
}

sub converse {
  my ($node, $request, $seconds, $as_root) = @_;
  local $SIG{PIPE} = 'IGNORE';
  local $SIG{ALRM} = sub { die "no answer in time\n" };
  my $answer = '';
  alarm $seconds;
  my $done = eval {
    my $address = pack 'S n C4 x8', $AF_INET, $node->{port}, split /\./, $node->{server};
    socket my $connection, $AF_INET, $SOCK_STREAM, 0 or die "socket: $!\n";
    take_root_port($connection) if $as_root;
    connect $connection, $address or die "$!\n";
    syswrite($connection, $request) == length $request or die "$!\n";
    read $connection, $answer, $MOST_ANSWER_BYTES;
  };
  my $why = $@;
  alarm 0;
  die $why if $why;
  die "connection lost\n" unless $done;
  return $answer;
}

# Most are free; which are not, nobody knows better than the kernel.
sub take_root_port {
  my ($connection) = @_;
  for (1 .. 100) {
    my $port = $FIRST_ROOT_PORT + int rand($LAST_ROOT_PORT - $FIRST_ROOT_PORT + 1);
    return if bind $connection, pack 'S n x12', $AF_INET, $port;
    die "port $port: $!\n" if $! != $EADDRINUSE;
  }
  die "no port that only root has is free\n";
}

# HMAC-SHA256 (RFC 2104), in hex. Our keys are no longer than a block.
sub hmac {
  my ($key, $text) = @_;
  $key = pack 'a64', $key;
  return unpack 'H*', Sha256::digest(($key ^ "\x5c" x 64) . Sha256::digest(($key ^ "\x36" x 64) . $text));
}

# Base64 is what uuencode writes, in other letters and without the length before each line.
sub decode_base64 {
  my $text = $_[0] =~ s/=+$//r =~ tr{A-Za-z0-9+/}{ -_}r;
  return join '', map { unpack 'u', chr(32 + int length($_) * 3 / 4) . $_ } unpack '(a60)*', $text;
}

# What a program makes of a text. The text may be secret: it stands in no argument and no environment, and the file it
# is handed over in has no name any more.
sub through {
  my ($text, @program) = @_;
  open my $file, '+>', "$RUN/.through" or die "$RUN: $!\n";
  unlink "$RUN/.through";
  print {$file} $text or die "$RUN: $!\n";
  seek $file, 0, 0 or die "$RUN: $!\n";
  open STDIN, '<&', $file or die "$program[0]: $!\n";
  return join '', output(@program);
}

# The lines that a program writes; none when it cannot be started.
sub output {
  my (@program) = @_;
  open my $output, '-|', @program or return;
  my @lines = <$output>;
  close $output;
  return @lines;
}

# Names and what stands behind them, of the last line with that name.
sub fields { return map { /^(\S+) (.*)$/ ? ($1 => $2) : () } split /\n/, $_[0] }

# All of a file; nothing when there is none.
sub contents {
  my ($path) = @_;
  open my $file, '<', $path or return '';
  local $/;
  return <$file> // '';
}

# A file that is there as a whole or not at all, and never readable for more than it should be.
sub write_file {
  my ($path, $mode, $content, $uid, $gid) = @_;
  my $new = "$path.netboot-new";
  unlink $new;
  sysopen my $file, $new, $WRITE_NEW or die "$path: $!\n";
  my $written = print({$file} $content) && chown($uid // 0, $gid // 0, $file) && chmod($mode, $file);
  return if close($file) && $written && rename $new, $path;
  my $why = "$path: $!\n";
  unlink $new;
  die $why;
}

# Seconds since the kernel started: the time of day is anybody's guess on a machine without a clock.
sub uptime { return (split ' ', contents('/proc/uptime'))[0] }

# To the journal: systemd reads the level off the line.
sub say { print STDERR "<6>@_\n" }
sub complain { print STDERR "<3>@_\n" }

1;
