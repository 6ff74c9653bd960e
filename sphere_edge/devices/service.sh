# A server as a systemd user service. $1 action, $2 unit's name, $3 the server's folder, then the action's own.
# Exit codes: 20 cannot write, 27 no systemd for this user, 28 no such service, else systemctl's.
set -uf
umask 077
export LC_ALL=C
action=$1 unit=$2 own=$3
# A session without PAM does not know where the user's systemd listens.
: "${XDG_RUNTIME_DIR:=/run/user/$(id -u)}"
export XDG_RUNTIME_DIR
folder=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user

ctl() { systemctl --user --no-pager "$@"; }
put() { # text $1 as file $2, at once and whole
  printf '%s' "$1" >"$2.new" || exit 20
  mv -f "$2.new" "$2" || exit 20
}
present() { [ -f "$folder/$unit" ] || exit 28; }

case $action in
  ready)
    command -v systemctl >/dev/null || exit 27
    ctl show --property=Version >/dev/null || exit 27
    ;;
  install) # texts: unit file $4, start script $5, settings $6
    mkdir -p "$folder" "$own" || exit 20
    if [ ! -s "$own/key" ]; then
      head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$own/.key.new" || exit 20
      mv -f "$own/.key.new" "$own/key" || exit 20
    fi
    put "$5" "$own/start"
    put "$6" "$own/settings.json"
    put "$4" "$folder/$unit"
    # So that it also runs when nobody is logged in; often only an administrator may.
    loginctl enable-linger >/dev/null 2>&1
    ctl daemon-reload && ctl enable --quiet "$unit" && ctl restart "$unit"
    ;;
  status)
    present
    echo '== unit'
    ctl show "$unit" \
      --property=ActiveState,SubState,UnitFileState,Result,ExecMainStatus,ActiveEnterTimestamp
    echo '== ready'
    [ -f "$own/start" ] && sh "$own/start" ready 2>/dev/null
    echo '== linger'
    loginctl show-user "$(id -un)" --property=Linger 2>/dev/null
    echo '== output'
    journalctl --user --no-pager --output=cat --lines=20 --unit="$unit" 2>/dev/null
    exit 0
    ;;
  there)
    present
    ;;
  restart)
    present
    ctl restart "$unit"
    exit 0
    ;;
  remove)
    present
    ctl disable --quiet --now "$unit"
    rm -f "$folder/$unit" || exit 20
    rm -rf "${own:?}" || exit 20
    # If systemd does not answer, the service is gone after the device's next start.
    ctl daemon-reload
    ctl reset-failed "$unit" 2>/dev/null
    exit 0
    ;;
esac
