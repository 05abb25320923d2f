# SHA-256 (FIPS 180-4), which perl-base has no module for. Started for each of the small texts that a report takes, sha256sum
# would cost more than all the rest: Debian's is linked to the whole of OpenSSL.
package Sha256;
use strict;

# From here on the program is quicker; this one does 64 KiB in a second on a Pi 3.
my $LONG = 65_536;

# The first 32 bits of the fractions of cube and square roots of the first primes.
my (@K, @H);
for (my ($number, @primes) = (2); @primes < 64; $number++) {
  next if grep { $number % $_ == 0 } @primes;
  push @primes, $number;
  push @K, first_bits($number ** (1 / 3));
  push @H, first_bits(sqrt $number) if @H < 8;
}

sub first_bits { return int(($_[0] - int $_[0]) * 2**32) }

sub digest {
  my ($text) = @_;
  return pack 'H64', Appliance::through($text, 'sha256sum') if length $text > $LONG;
  my @hash = @H;
  my $padding = "\x80" . "\0" x ((55 - length $text) % 64) . pack 'Q>', 8 * length $text;
  for my $block (unpack '(a64)*', $text . $padding) {
    my @sum = compress($block, @hash);
    @hash = map { ($hash[$_] + $sum[$_]) & 0xffffffff } 0 .. 7;
  }
  return pack 'N8', @hash;
}

# Twice in a row in 64 bits, a word is rotated by being shifted.
sub compress {
  my ($block, $a, $b, $c, $d, $e, $f, $g, $h) = @_;
  my @w = unpack 'N16', $block;
  for my $i (0 .. 63) {
    if ($i > 15) {
      my ($x, $y) = @w[$i - 15, $i - 2];
      my ($xx, $yy) = ($x << 32 | $x, $y << 32 | $y);
      my $near = ($xx >> 7 ^ $xx >> 18 ^ $x >> 3) & 0xffffffff;
      my $far = ($yy >> 17 ^ $yy >> 19 ^ $y >> 10) & 0xffffffff;
      $w[$i] = ($w[$i - 16] + $near + $w[$i - 7] + $far) & 0xffffffff;
    }
    my ($aa, $ee) = ($a << 32 | $a, $e << 32 | $e);
    my $one = $h + (($ee >> 6 ^ $ee >> 11 ^ $ee >> 25) & 0xffffffff) + ($e & $f ^ ~$e & $g) + $K[$i] + $w[$i];
    my $two = (($aa >> 2 ^ $aa >> 13 ^ $aa >> 22) & 0xffffffff) + ($a & $b ^ $a & $c ^ $b & $c);
    ($a, $b, $c, $d, $e, $f, $g, $h) = (($one + $two) & 0xffffffff, $a, $b, $c, ($d + $one) & 0xffffffff, $e, $f, $g);
  }
  return ($a, $b, $c, $d, $e, $f, $g, $h);
}

1;
