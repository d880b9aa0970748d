"""Makes a user who may do nothing, and prints its key. Usage: nobody.py ENDPOINT"""

import sys

import boto3

iam = boto3.client(
    "iam",
    endpoint_url=sys.argv[1],
    region_name="us-west-2",
    aws_access_key_id="test",
    aws_secret_access_key="test",
)
iam.create_user(UserName="demand")
key = iam.create_access_key(UserName="demand")["AccessKey"]
print(key["AccessKeyId"], key["SecretAccessKey"])
