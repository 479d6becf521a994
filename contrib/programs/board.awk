# SPDX-License-Identifier: MIT
# A drawing board: wsluice --session shared --framing hub -- mawk -W interactive -f board.awk
# Who comes is sent what was drawn, because * is kept. A stroke is a colour, 0 to 9, and points: "3 10,20 15,25".
$1 == "+" || $1 == "-" { here += $1 == "+" ? 1 : -1; print "* here " here; next }
{ id = $1; sub(/^[0-9]+ /, "") }
$0 == "clear" || /^[0-9]( [0-9]+,[0-9]+)+$/ { print "* " $0; next }
{ print id " what is that?" }
