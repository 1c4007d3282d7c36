# SPDX-License-Identifier: Apache-2.0
#
# Completion for bash: remorad, remoractl and remora-decap.

# The addresses of the reals that the running remorad has.
_remora_reals() {
  remoractl reals list 2>/dev/null | awk 'NR > 1 { print $2 }'
}

_remora_interfaces() {
  command ls /sys/class/net 2>/dev/null
}

# Completes the value of the option `$1`. Fails if it takes none.
_remora_value() {
  case $1 in
    --config | --check) compopt -o default; COMPREPLY=() ;;
    --runtime-dir | --bpffs) compopt -o dirnames; COMPREPLY=() ;;
    --interface) mapfile -t COMPREPLY < <(compgen -W "$(_remora_interfaces)" -- "$2") ;;
    --log-level)
      mapfile -t COMPREPLY < <(compgen -W "trace debug info warning error" -- "$2")
      ;;
    --instance | --pid | --group | --per-second | --service | --vip | --client | --topic) COMPREPLY=() ;;
    *) return 1 ;;
  esac
}

_remorad() {
  local word=${COMP_WORDS[COMP_CWORD]}
  _remora_value "${COMP_WORDS[COMP_CWORD - 1]}" "$word" && return
  mapfile -t COMPREPLY < <(compgen -W "--help --version --config --check --detach --runtime-dir \
    --bpffs --log-level" -- "$word")
}

_remora_decap() {
  local word=${COMP_WORDS[COMP_CWORD]}
  _remora_value "${COMP_WORDS[COMP_CWORD - 1]}" "$word" && return
  local words="--help --version --config --service --check --detach --generic"
  [[ $word == -* ]] || words=$(_remora_interfaces)
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

_remoractl() {
  local word=${COMP_WORDS[COMP_CWORD]} command="" part i words
  _remora_value "${COMP_WORDS[COMP_CWORD - 1]}" "$word" && return
  for ((i = 1; i < COMP_CWORD; i++)); do
    part=${COMP_WORDS[i]}
    case $part in
      --runtime-dir | --instance | --pid | --group | --per-second | --config | --topic) ((i++)) ;;
      status | ready | explain | services | groups | reload | check | doctor | reals | routes)
        command=$part
        ;;
      test) [[ $command == routes ]] && command="routes $part" ;;
      list | drain | evacuate | enable) [[ $command == reals ]] && command="reals $part" ;;
    esac
  done
  local everywhere="--help --json --runtime-dir --instance --pid"
  case $command in
    "") words="status ready explain services groups routes reals reload check doctor --version $everywhere" ;;
    status) words="--all --watch $everywhere" ;;
    explain) words="--topic $everywhere" ;;
    routes) words="list test $everywhere" ;;
    reals) words="list drain evacuate enable $everywhere" ;;
    "reals drain" | "reals enable") words="$(_remora_reals) --group $everywhere" ;;
    "reals evacuate") words="$(_remora_reals) --group --per-second $everywhere" ;;
    check) words="--diff --config $everywhere" ;;
    doctor) words="--broker --config --bpffs --service --interface --vip --client $everywhere" ;;
    *) words=$everywhere ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -F _remorad remorad
complete -F _remoractl remoractl
complete -F _remora_decap remora-decap
