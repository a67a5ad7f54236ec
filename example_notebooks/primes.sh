#!/bin/sh
# Searches the range in primes/JOB for primes, and writes them to primes/JOB.txt
read -r first last < "primes/$HYBRIDNB_JOB"
echo "searching from $first to $last on $(uname -n)"
awk -v first="$first" -v last="$last" '
  function prime(n,  d) { for (d = 2; d * d <= n; d++) if (n % d == 0) return 0; return n > 1 }
  BEGIN {
    step = int((last - first) / 10)
    for (n = first; n <= last; n++) {
      if (prime(n)) print n
      if ((n - first) % step == 0) print "# hybridnb progress=" int(100 * (n - first) / (last - first)) > "/dev/stderr"
    }
  }' > "primes/$HYBRIDNB_JOB.txt"
