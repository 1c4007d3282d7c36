#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Publishes each message at QoS 1 on a connection of its own, and again if that is reset.
#
#   publish.sh ADDRESS CLIENT TOPIC COUNT
set -eu

address=$1 client=$2 topic=$3 count=$4
for number in $(seq "$count"); do
	until mosquitto_pub -h "$address" -i "$client" -q 1 -t "$topic" -m "$number"; do
		sleep 0.1
	done
done
