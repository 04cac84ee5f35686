#!/bin/sh
# Make the secrets of compose.yaml that are not there yet, in the folder secrets/ beside this file, or in another one.
# The folder is its owner's alone. The files have to be readable in containers that run as other users.
set -eu
folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder"
chmod 700 "$folder"

make() { # name, text; without an end of line, which not all who read a password leave out
    [ -e "$folder/$1" ] || (umask 022 && printf '%s' "$2" >"$folder/$1.new" && mv "$folder/$1.new" "$folder/$1")
}
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# of the platform's own role, of who makes roles and the database, of the data service, of Dagster's pages and daemon, of
# dashboards, of Grafana's admin
for name in oasis_pass admin_pass service_pass dagster_pass reader_pass grafana_pass; do
    make "$name" "$(random)"
done
# keys of the object store; replace both files' contents for a bucket elsewhere
key=$(random) secret=$(random)
if [ ! -e "$folder/aws_credentials" ] && [ ! -e "$folder/store_keys" ]; then
    make aws_credentials "[default]
aws_access_key_id = $key
aws_secret_access_key = $secret"
    make store_keys "{\"identities\": [{\"name\": \"oasis\", \"actions\": [\"Admin\", \"Read\", \"Write\", \"List\", \"Tagging\"],
 \"credentials\": [{\"accessKey\": \"$key\", \"secretKey\": \"$secret\"}]}]}"
fi
# of the live source and of drop folders elsewhere, where there are any: OASIS_SOURCE_URL, OASIS_REMOTE_DROP; a certificate
for name in source_url remote_drop site_certificate site_key; do
    [ -e "$folder/$name" ] || (umask 022 && : >"$folder/$name")
done
