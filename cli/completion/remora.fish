# SPDX-License-Identifier: Apache-2.0
#
# Completion for fish: remoractl, remorad and remora-decap. Each is installed under the names of all
# three, because fish looks for a file of the command's name.

# The addresses of the reals that the running remorad has.
function __remora_reals
    remoractl reals list 2>/dev/null | awk 'NR > 1 { print $2 }'
end

set -l commands status ready explain services groups routes reals reload check doctor
set -l reals list drain evacuate enable
set -l routes list test
set -l none "not __fish_seen_subcommand_from $commands"
set -l family "__fish_seen_subcommand_from reals; and not __fish_seen_subcommand_from $reals"

complete -c remoractl -f
complete -c remoractl -n $none -a status -d 'programs, tables, groups, reals and counters'
complete -c remoractl -n $none -a ready -d 'whether packets of clients reach brokers'
complete -c remoractl -n $none -a explain -d 'why a client\'s connections go where they go'
complete -c remoractl -n $none -a services -d 'the services, and where unknown clients go'
complete -c remoractl -n $none -a groups -d 'the groups, with policy, reals and PUBLISHes'
complete -c remoractl -n $none -a routes -d 'show the routes'
complete -c remoractl -n $none -a reload -d 'read the configuration file again'
complete -c remoractl -n $none -a check -d 'whether a configuration file is accepted'
complete -c remoractl -n $none -a reals -d 'show and change the reals'
complete -c remoractl -n $none -a doctor -d 'what is wrong on this host, and the remedy'
set -l routing "__fish_seen_subcommand_from routes; and not __fish_seen_subcommand_from $routes"
complete -c remoractl -n $routing -a list -d 'the routes, the most specific first'
complete -c remoractl -n $routing -a test -d 'the group of a topic'
complete -c remoractl -n '__fish_seen_subcommand_from explain' -l topic -x -d 'a topic name'
complete -c remoractl -n '__fish_seen_subcommand_from status' -l all -d 'counters that are 0, too'
complete -c remoractl -n '__fish_seen_subcommand_from status' -l watch -d 'again each second'
complete -c remoractl -n $family -a list -d 'every broker with state, weight, flows and health'
complete -c remoractl -n $family -a drain -d 'a broker takes no new connections'
complete -c remoractl -n $family -a evacuate -d 'drain a broker, and move its connections'
complete -c remoractl -n $family -a enable -d 'a broker takes new connections again'
set -l one '__fish_seen_subcommand_from drain evacuate enable'
complete -c remoractl -n $one -a '(__remora_reals)'
complete -c remoractl -n $one -l group -x -d 'in this group alone'
complete -c remoractl -n '__fish_seen_subcommand_from evacuate' -l per-second -x -d clients
complete -c remoractl -l help -d 'show help'
complete -c remoractl -n $none -l version -d 'show the version'
complete -c remoractl -l json -d 'as JSON'
complete -c remoractl -l runtime-dir -r -F -d 'where the control sockets are'
complete -c remoractl -l instance -x -d 'which remorad'
complete -c remoractl -l pid -x -d 'which remorad, by its process'
complete -c remoractl -n '__fish_seen_subcommand_from check' -l diff -d 'what a reload would change'
complete -c remoractl -n '__fish_seen_subcommand_from check doctor' -l config -r -F -d file
set -l doctor '__fish_seen_subcommand_from doctor'
complete -c remoractl -n $doctor -l broker -d 'this is a broker host'
complete -c remoractl -n $doctor -l bpffs -r -F -d 'mounted BPF file system'
complete -c remoractl -n $doctor -l service -x -d 'ADDRESS:PORT that the broker serves'
complete -c remoractl -n $doctor -l interface -x -a '(ls /sys/class/net)'
complete -c remoractl -n $doctor -l vip -x -d 'of a group of the broker'
complete -c remoractl -n $doctor -l client -x -d 'an address that stands for all clients'

complete -c remorad -f
complete -c remorad -l help -d 'show help'
complete -c remorad -l version -d 'show the version'
complete -c remorad -l config -r -F -d 'configuration file'
complete -c remorad -l check -r -F -d 'check a file and exit'
complete -c remorad -l detach -d 'take the instance off its interface'
complete -c remorad -l runtime-dir -r -F -d 'lock and control socket'
complete -c remorad -l bpffs -r -F -d 'mounted BPF file system'
complete -c remorad -l log-level -x -a 'trace debug info warning error'

complete -c remora-decap -f -a '(ls /sys/class/net)'
complete -c remora-decap -l help -d 'show help'
complete -c remora-decap -l version -d 'show the version'
complete -c remora-decap -l config -r -F -d 'configuration file'
complete -c remora-decap -l service -x -d 'ADDRESS:PORT of a service of this broker'
complete -c remora-decap -l check -r -F -d 'check a file and exit'
complete -c remora-decap -l detach -d 'detach the program'
complete -c remora-decap -l generic -d 'for drivers without native XDP'
