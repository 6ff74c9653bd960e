# A deployed bundle as a systemd user service. $1 action, $2 unit's name, then the action's own.
# Exit codes: 20 cannot write, 27 no systemd for this user, 28 no such service, else systemctl's.
set -uf
export LC_ALL=C
action=$1 unit=$2
# A session without PAM does not know where the user's systemd listens.
: "${XDG_RUNTIME_DIR:=/run/user/$(id -u)}"
export XDG_RUNTIME_DIR
folder=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user

ctl() { systemctl --user --no-pager "$@"; }
present() { [ -f "$folder/$unit" ] || exit 28; }

case $action in
  ready)
    command -v systemctl >/dev/null || exit 27
    ctl show --property=Version >/dev/null || exit 27
    ;;
  install) # unit file's text $3
    mkdir -p "$folder" || exit 20
    printf '%s' "$3" >"$folder/.$unit.new" || exit 20
    mv -f "$folder/.$unit.new" "$folder/$unit" || exit 20
    # So that it also runs when nobody is logged in; often only an administrator may.
    loginctl enable-linger >/dev/null 2>&1
    ctl daemon-reload && ctl enable --quiet "$unit" && ctl restart "$unit"
    ;;
  status)
    present
    echo '== unit'
    ctl show "$unit" \
      --property=ActiveState,SubState,UnitFileState,Result,ExecMainStatus,ActiveEnterTimestamp
    echo '== linger'
    loginctl show-user "$(id -un)" --property=Linger 2>/dev/null
    echo '== output'
    journalctl --user --no-pager --output=cat --lines=20 --unit="$unit" 2>/dev/null
    exit 0
    ;;
  there)
    present
    ;;
  remove)
    present
    ctl disable --quiet --now "$unit"
    rm -f "$folder/$unit" || exit 20
    # If systemd does not answer, the service is gone after the device's next start.
    ctl daemon-reload
    ctl reset-failed "$unit" 2>/dev/null
    exit 0
    ;;
esac
