"""Well-known apps, maintained by hand: the apps that a search finds without a project, and common
words for them.

`slug|name|other words`. The order is roughly that of use; it decides if a query names no app.
"""

from __future__ import annotations

from codewords_mcp.runtime.model.integration import App

_LIST = """
slack_v2|Slack|chat team message channel
google_sheets|Google Sheets|spreadsheet sheet row cell
gmail|Gmail|google mail email
google_calendar|Google Calendar|event meeting appointment
google_drive|Google Drive|file folder
notion|Notion|page database wiki
hubspot|HubSpot|crm contact deal ticket
github|GitHub|git repository issue
airtable_oauth|Airtable|base record
salesforce_rest_api|Salesforce|crm lead opportunity soql
stripe|Stripe|payment invoice subscription refund
twilio|Twilio|sms text message phone call
slack|Slack (earlier)|chat team message channel
openai|OpenAI|gpt chatgpt whisper
telegram_bot_api|Telegram|chat message bot
discord_bot|Discord|server message channel
discord|Discord Webhook|message
microsoft_outlook|Microsoft Outlook|email mail office
microsoft_teams|Microsoft Teams|chat message office
postgresql|PostgreSQL|postgres sql database
mysql|MySQL|sql database
mongodb|MongoDB|document database
google_docs|Google Docs|document
google_forms|Google Forms|survey
google_contacts|Google Contacts|people
sendgrid|SendGrid|email mail
mailchimp|Mailchimp|newsletter subscriber list campaign
linear_app|Linear|issue project
linear|Linear (key)|issue project
jira|Jira|issue ticket atlassian
trello|Trello|board card list
asana|Asana|task project
todoist|Todoist|task todo
clickup|ClickUp|task
monday|Monday|board item
zendesk|Zendesk|support ticket
intercom|Intercom|support conversation
freshdesk|Freshdesk|support ticket
pipedrive|Pipedrive|crm deal person
activecampaign|ActiveCampaign|email marketing contact
shopify|Shopify|shop store order product
woocommerce|WooCommerce|shop store order product
wordpress_org|WordPress|blog post
webflow|Webflow|site cms
linkedin|LinkedIn|post profile
twitter|Twitter|tweet x
reddit|Reddit|post subreddit
youtube_data_api|YouTube|video channel
spotify|Spotify|music playlist track
zoom|Zoom|meeting webinar
calendly_v2|Calendly|booking event
typeform|Typeform|form survey response
dropbox|Dropbox|file folder
aws|AWS|amazon s3 bucket lambda dynamodb sqs
supabase|Supabase|database row
firebase_admin_sdk|Firebase|firestore database
gitlab|GitLab|git repository issue
bitbucket|Bitbucket|git repository
quickbooks|QuickBooks|accounting invoice
xero_accounting_api|Xero|accounting invoice
paypal|PayPal|payment
square|Square|payment
klaviyo|Klaviyo|email marketing
coda|Coda|doc table
figma|Figma|design comment
pushover|Pushover|push notification
microsoft_onedrive|OneDrive|file folder
box|Box|file folder
confluence|Confluence|wiki page atlassian
datadog|Datadog|monitoring
pagerduty|PagerDuty|incident alert
sentry|Sentry|error
anthropic|Anthropic|claude
google_analytics|Google Analytics|traffic report
facebook_pages|Facebook Pages|post
instagram_business|Instagram|post
docusign|DocuSign|signature document
"""


def popular() -> list[App]:
    """All well-known apps; the first has the greatest weight."""
    rows = [line.split("|") for line in _LIST.strip().splitlines()]
    return [
        App(slug=slug, name=name, words=words, weight=float(len(rows) - index))
        for index, (slug, name, words) in enumerate(rows)
    ]
