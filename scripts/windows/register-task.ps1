# Registers the task of tandem-drain.xml: agent drain every minute. Run again after moving a file.
#   powershell -File register-task.ps1 -Agent C:\tandem\agent.exe -Config C:\tandem\agent.conf
#   powershell -File register-task.ps1 -Agent wsl.exe -Linux /usr/sbin/agent -Config /home/anna/tandem/agent.conf
param(
    [Parameter(Mandatory = $true)][string]$Agent,
    [Parameter(Mandatory = $true)][string]$Config,
    [string]$Linux = ''
)
$ErrorActionPreference = 'Stop'
[xml]$task = Get-Content -Path (Join-Path $PSScriptRoot 'tandem-drain.xml')
$run = $task.Task.Actions.Exec
$run.Command = $Agent
$run.Arguments = "--drain -q --config `"$Config`""
if ($Linux -ne '') { $run.Arguments = "-e $Linux " + $run.Arguments }
Register-ScheduledTask -TaskName 'Tandem' -Xml $task.OuterXml -Force | Out-Null
Write-Output 'Tandem drains every minute now; Unregister-ScheduledTask -TaskName Tandem ends it.'
