# SPDX-License-Identifier: MIT
# A chat: wsluice --session shared --framing hub -- mawk -W interactive -f chat.awk
# The first word of a line is the number of who says it, or of whom it is for; * is all (docs/sessions.md).
$1 == "+" { name[$2] = $4 == "-" ? "guest" $2 : $4; print "* - " name[$2] " is here"; next }
$1 == "-" { print "* - " name[$2] " has left"; delete name[$2]; next }
{ text = substr($0, length($1) + 2) }
text ~ /^\/nick [^ ]+$/ { new = substr(text, 7); print "* - " name[$1] " is now " new; name[$1] = new; next }
text == "/who" { for (id in name) print $1 " - " name[id]; next }
text == "/bye" { print $1 " - bye"; print "- " $1; next }
text != "" { print "* " name[$1] ": " text }
